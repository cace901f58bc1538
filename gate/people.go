package gate

import (
	"slices"

	"slipway/internal/ref"
)

// people answers who somebody is, and whom a rule chooses.
type people struct {
	snapshot *Snapshot
	policy   *Policy
	bot      string
	author   party
	// wrote are the logins that opened, wrote, committed or co-wrote it.
	wrote  map[string]bool
	pusher string // "" when not known
	// models are what agents that wrote part of it run, each with the agent;
	// "" for one whose model is not known.
	models map[string]string
	// unsure is one who wrote part of it, the author if possible, of whom it is
	// not known whether a person: it may be an agent that runs anything.
	unsure *party
	// pushed is whoever pushed the head; nil when not known, or Slipway.
	pushed  *party
	members map[string]map[string]bool // of the teams asked for so far

	approvers, excluded, vetoers choice
}

// party is one principal.
type party struct {
	login string // in the form in which logins are compared
	name  string // as it was written
	Principal
	// member says that it is a coordinate of the pools.
	member bool
	// unread is a team that was not read and may say that it is a person.
	unread string
}

// approval is a review that passes every rule about a single approval, with
// who gave it.
type approval struct {
	*Review
	*party
}

func newPeople(s *Snapshot, p *Policy) people {
	d := people{
		snapshot: s, policy: p, bot: login(p.Bot),
		wrote: map[string]bool{login(s.Pull.Author): true},
	}
	d.author = d.party(s.Pull.Author)
	d.approvers, d.excluded, d.vetoers = d.choice(&p.Approvers), d.choice(&p.Excluded), d.choice(&p.Vetoers)
	if s.PusherRead == ref.Yes {
		d.pusher = login(s.Pusher)
	}
	for _, c := range s.Commits {
		d.wrote[login(c.Author)] = true
		d.wrote[login(c.Committer)] = true
		for _, co := range c.CoAuthors {
			d.wrote[login(co.Login)] = true
		}
	}
	d.writers()
	if d.pusher != "" && d.pusher != d.bot && !d.wrote[d.pusher] {
		pushed := d.party(d.pusher)
		d.pushed = &pushed
	}
	return d
}

// writers looks who of those who wrote it is an agent, and who may be one.
func (d *people) writers() {
	for who := range d.wrote {
		if who == "" || who == d.bot && who != d.author.login {
			continue
		}
		switch writer := d.party(who); writer.Kind {
		case KindPerson:
		case KindAgent:
			// Of two who run the same, the one that comes first is named.
			if first, there := d.models[login(writer.Model)]; !there || who < first {
				if d.models == nil {
					d.models = map[string]string{}
				}
				d.models[login(writer.Model)] = who
			}
		default:
			if d.unsure == nil || who < d.unsure.login {
				d.unsure = &writer
			}
		}
	}
	if d.author.Kind == KindUnknown {
		d.unsure = &d.author
	}
}

// party says who is behind a login.
func (d *people) party(name string) party {
	p := party{login: login(name), name: name}
	if p.Principal, p.member = d.snapshot.Crew.Member(p.login); p.member {
		return p
	}
	p.Principal = d.policy.Principals[p.login]
	if p.Kind != KindUnknown {
		return p
	}
	for _, team := range d.policy.PeopleTeams {
		members, read := d.team(team)
		switch {
		case members[p.login]:
			p.Kind, p.unread = KindPerson, ""
			return p
		case !read && (p.unread == "" || team < p.unread):
			p.unread = team
		}
	}
	return p
}

// team is the members of a team; read is false when they are not known.
func (d *people) team(name string) (members map[string]bool, read bool) {
	name = login(name)
	if known, found := d.members[name]; found {
		return known, known != nil
	}
	list, read := d.snapshot.Teams[name]
	if read {
		members = make(map[string]bool, len(list))
		for _, m := range list {
			members[login(m)] = true
		}
	}
	if d.members == nil {
		d.members = map[string]map[string]bool{}
	}
	d.members[name] = members
	return members, read
}

// choice is a Who with its teams looked up.
type choice struct {
	people []string // in the form in which logins are compared
	pools  []string
	teams  []map[string]bool // nil for one that was not read
	unread string            // the first of those
}

func (d *people) choice(w *Who) choice {
	c := choice{pools: w.Pools}
	if len(w.People) > 0 {
		c.people = make([]string, len(w.People))
		for i, name := range w.People {
			c.people[i] = login(name)
		}
	}
	for _, team := range w.Teams {
		members, read := d.team(team)
		if !read && (c.unread == "" || team < c.unread) {
			c.unread = team
		}
		c.teams = append(c.teams, members)
	}
	return c
}

// has says whether p is chosen. Unknown comes with the team that would have to
// be read, or with "" when it is the agent's pool that nobody declared.
func (c *choice) has(p *party) (f ref.Fact, unread string) {
	if slices.Contains(c.people, p.login) {
		return ref.Yes, ""
	}
	for _, members := range c.teams {
		if members[p.login] {
			return ref.Yes, ""
		}
	}
	f = ref.No
	if p.Kind == KindAgent && len(c.pools) > 0 {
		switch {
		case p.Pool == "":
			f = ref.Unknown
		case slices.Contains(c.pools, p.Pool):
			return ref.Yes, ""
		}
	}
	if c.unread != "" {
		f = ref.Unknown
	}
	return f, c.unread
}

// persons are all who are known to be persons, by login; unread is a team that
// may hold more.
func (d *people) persons() (logins []string, unread string) {
	for who, p := range d.policy.Principals {
		if p.Kind == KindPerson && who != "" {
			logins = append(logins, who)
		}
	}
	for _, team := range d.policy.PeopleTeams {
		members, read := d.team(team)
		if !read && (unread == "" || team < unread) {
			unread = team
		}
		for who := range members {
			if d.policy.Principals[who].Kind == KindUnknown {
				logins = append(logins, who)
			}
		}
	}
	slices.Sort(logins)
	return slices.Compact(logins), unread
}

// chosen are all whom w is known to choose, by login; unread is a team that may
// hold more.
func (d *people) chosen(w *Who) (logins []string, unread string) {
	for _, name := range w.People {
		logins = append(logins, login(name))
	}
	for who, p := range d.policy.Principals {
		if p.Kind == KindAgent && p.Pool != "" && slices.Contains(w.Pools, p.Pool) {
			logins = append(logins, who)
		}
	}
	for who := range d.snapshot.Crew.Members {
		if p, ok := d.snapshot.Crew.Member(who); ok && slices.Contains(w.Pools, p.Pool) {
			logins = append(logins, who)
		}
	}
	for _, team := range w.Teams {
		members, read := d.team(team)
		if !read && (unread == "" || team < unread) {
			unread = team
		}
		for who := range members {
			logins = append(logins, who)
		}
	}
	slices.Sort(logins)
	return slices.Compact(logins), unread
}

func (w *Who) empty() bool { return len(w.People) == 0 && len(w.Teams) == 0 && len(w.Pools) == 0 }

// roles name whom w chooses as the policy does.
func (w *Who) roles() []string {
	roles := append(slices.Clone(w.People), w.Teams...)
	for _, pool := range w.Pools {
		roles = append(roles, "pool "+pool)
	}
	return roles
}

// told is how it would be known what the agent behind a login runs.
func (d *people) told(who string) string {
	if _, member := d.snapshot.Crew.Member(who); member {
		return "known"
	}
	return "declared"
}

func membersOf(team string) string { return "the members of team " + team }
