package config

import (
	"strings"

	"slipway/gate"
	"slipway/internal/ref"
	"slipway/pools"
)

// caseMember is a coordinate of the pools in a case.
type caseMember struct{ login, model, operator string }

// member reads a coordinate, a bare address for one that no attempt stands
// behind.
func (r *casesReader) member(m *caseMember) form {
	login := r.text(&m.login, that(coordinate))
	return r.shorthand("login", login, r.object(
		must("login", login, "The coordinate, `<role>-<tier>-<replica>`; its pool follows from it."),
		may("model", r.text(&m.model), "What the attempt ran in which it wrote or reviewed this head.").otherwise("no attempt tells it"),
		may("operator", r.text(&m.operator), "Who answers for its pool.").otherwise("unknown"),
	).named("case member"))
}

// crew brings in who is of a pool. Without any, there are no pools.
func (b *scene) crew() {
	b.s.Crew = gate.Crew{Read: ref.Known(len(b.members) > 0)}
	if len(b.members) == 0 {
		return
	}
	b.s.Crew.Members, b.s.Crew.Registered = map[string]gate.Principal{}, ref.Known(b.registered)
	for _, m := range b.members {
		who := strings.ToLower(m.login)
		address, _ := pools.ReadAddress(who) // checked when it was read
		b.s.Crew.Members[who] = gate.Principal{Kind: gate.KindAgent, Model: m.model, Operator: m.operator, Pool: address.Pool().String()}
	}
}

func coordinate(s string) string {
	if _, err := pools.ReadAddress(s); err != nil {
		return err.Error()
	}
	return ""
}
