package gate

import "slices"

// independent is the largest set of parties that are independent of each other
// (M4): all persons, and of the agents as many as have a model, and where
// operators count once an operator, of their own. parties are sorted by login
// and fit for approving. The answer is, for each of them, -1 when it counts,
// else which other takes the place that it would need.
//
// With operators this is a matching of models and operators, which Kuhn's
// algorithm of augmenting paths makes as large as can be.
func independent(parties []party, operatorOnce bool) []int {
	rival := make([]int, len(parties))
	for i := range rival {
		rival[i] = -1
	}
	if distinct(parties, operatorOnce) {
		return rival
	}
	m := matching{
		parties: parties,
		places:  make(map[int]place), byModel: make(map[string][]place), taken: make(map[string]int),
	}
	for i := range parties {
		if parties[i].Kind != KindPerson {
			m.add(i, operatorOnce)
		}
	}
	for _, model := range m.models {
		m.seen = map[string]bool{}
		m.augment(model)
	}
	for i := range parties {
		if parties[i].Kind == KindPerson {
			continue
		}
		p := m.places[i]
		held, found := m.taken[p.operator]
		switch {
		case found && held == i:
		case found:
			rival[i] = held
		default:
			rival[i] = m.holder(p.model)
		}
	}
	return rival
}

// distinct says whether no two agents share a model, nor, where that matters,
// an operator: then nothing needs choosing.
func distinct(parties []party, operatorOnce bool) bool {
	both := make([]string, 2*len(parties))
	models, operators := both[:0:len(parties)], both[len(parties):len(parties)]
	for i := range parties {
		if parties[i].Kind != KindPerson {
			models = append(models, login(parties[i].Model))
			operators = append(operators, login(parties[i].Operator))
		}
	}
	return unique(models) && (!operatorOnce || unique(operators))
}

func unique(list []string) bool {
	slices.Sort(list)
	for i := 1; i < len(list); i++ {
		if list[i] == list[i-1] {
			return false
		}
	}
	return true
}

// strength is how many of the parties are independent.
func strength(parties []party, operatorOnce bool) int {
	n := 0
	for _, r := range independent(parties, operatorOnce) {
		if r < 0 {
			n++
		}
	}
	return n
}

// matching gives models operators.
type matching struct {
	parties []party
	places  map[int]place
	models  []string           // in the order of their first agents
	byModel map[string][]place // one agent for each operator: the first
	taken   map[string]int     // who holds an operator
	seen    map[string]bool    // operators looked at in this round
}

type place struct {
	party           int
	model, operator string
}

func (m *matching) add(i int, operatorOnce bool) {
	p := place{i, login(m.parties[i].Model), login(m.parties[i].Operator)}
	if !operatorOnce {
		p.operator = p.model // each model has a place of its own
	}
	m.places[i] = p
	if _, found := m.byModel[p.model]; !found {
		m.models = append(m.models, p.model)
	}
	if !slices.ContainsFunc(m.byModel[p.model], func(q place) bool { return q.operator == p.operator }) {
		m.byModel[p.model] = append(m.byModel[p.model], p)
	}
}

func (m *matching) augment(model string) bool {
	for _, p := range m.byModel[model] {
		if m.seen[p.operator] {
			continue
		}
		m.seen[p.operator] = true
		held, taken := m.taken[p.operator]
		if !taken || m.augment(m.places[held].model) {
			m.taken[p.operator] = p.party
			return true
		}
	}
	return false
}

// holder is the agent that counts for a model.
func (m *matching) holder(model string) int {
	for _, p := range m.byModel[model] {
		if held, found := m.taken[p.operator]; found && m.places[held].model == model {
			return held
		}
	}
	return 0
}
