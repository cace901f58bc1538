package onboard

import (
	"slices"
	"strings"

	"slipway/internal/ref"
)

// place compares one namespace. What counts is what Slipway's account may do
// there, whatever grants it; only what is missing is granted.
func (m *maker) place(p Place, is Site) {
	where := "cluster " + p.Cluster
	mend := m.command("")
	admin := "somebody who administers the cluster: " + m.command("--kubeconfig FILE")
	add := func(key string, part Part, lines ...Line) {
		s := Step{Key: key + " " + p.Key(), Where: where, Lines: lines, Needs: RightCluster, Mend: mend, denied: admin, part: part, cluster: p.Cluster}
		if slices.Contains(is.Refused, key) {
			s.Blocked = is.User + " may not make it"
			s.Mend = admin
		}
		m.add(s)
	}
	unread := func(key, why string) {
		m.add(Step{Key: key + " " + p.Key(), Where: where, Needs: RightCluster, Blocked: "it could not be read: " + why,
			Mend: admin})
	}
	exists := is.Exists.Read && is.Exists.Is
	if is.Exists.Read && !is.Exists.Is {
		add("namespace", Namespace{p.Namespace}, Line{"there", "no", "yes"})
	}
	switch {
	case p.Subject == "":
		m.add(Step{Key: "account " + p.Key(), Where: where, Needs: RightOperator, Blocked: "it is not known which account of the cluster is Slipway's",
			Mend: "name it: " + m.command("--service-account NAMESPACE/NAME")})
	case !is.Missing.Read && !is.Exists.Read:
		unread("namespace", or(is.Missing.Why, is.Exists.Why))
	case !is.Missing.Read && exists:
		unread("role", is.Missing.Why)
	case len(is.Missing.Is) > 0 || !exists && !is.Missing.Read:
		missing := or(strings.Join(is.Missing.Is, ", "), "any")
		add("role", Role{p.Namespace, p.Deployments, p.Probed}, Line{"rights of " + p.Subject, "without " + missing, "all that it needs"})
		bound := map[ref.Fact]string{ref.No: "not bound", ref.Unknown: "not known"}
		if is.Bound != ref.Yes {
			add("binding", Binding{p.Namespace, p.Subject}, Line{"role", bound[is.Bound], "bound to " + p.Subject})
		}
	}
}
