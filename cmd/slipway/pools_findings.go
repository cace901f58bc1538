package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/config"
	"slipway/dispatcher"
	"slipway/internal/forge/gitea"
	"slipway/internal/onboard"
	"slipway/internal/reconcile"
	"slipway/pools"
)

// applyCommand is what makes a coordinate's identity.
const applyCommand = "slipway pools apply --config slipway.yaml --yes, with the rights that it names"

// crewFindings names coordinates that nobody can work as, as far as the server
// sees: without a credential, without an account. And credentials that are good
// for a coordinate which is none.
func (w *wired) crewFindings(ctx context.Context) []reconcile.Finding {
	conf := w.survey.conf
	if w.yard == nil || conf.Pools.Forge == "" {
		return nil // whoever makes no identities here has them from elsewhere
	}
	set, found, err := w.yard.dispatcher.Set(ctx)
	if err != nil || !found {
		return nil // said of the store or the pool config already
	}
	known, err := w.yard.dispatcher.Credentials(ctx)
	if err != nil {
		return []reconcile.Finding{{Area: "coordinates", Fault: "their credentials cannot be read: " + err.Error(), Mend: "look at the store"}}
	}
	out := uncredentialled(set.Set, known, time.Now())
	forge, _ := conf.Forge(conf.Pools.Forge)
	return append(out, unaccounted(ctx, forge, set.Addresses())...)
}

// uncredentialled compares coordinates with the credentials that are good.
func uncredentialled(set pools.Set, known []dispatcher.Credential, now time.Time) (out []reconcile.Finding) {
	good := map[pools.Address]bool{}
	for _, c := range known {
		good[c.Address] = good[c.Address] || c.Ended(now) == ""
	}
	var without, left []string
	for _, a := range set.Addresses() {
		if !good[a] {
			without = append(without, a.String())
		}
	}
	for a := range good {
		if _, there := set.Replicas[a]; good[a] && !there {
			left = append(left, a.String())
		}
	}
	if len(without) > 0 {
		out = append(out, reconcile.Finding{Area: "coordinates", Fault: strings.Join(without, ", ") + ": no credential, so nobody can work as it", Mend: applyCommand})
	}
	if len(left) > 0 {
		slices.Sort(left)
		out = append(out, reconcile.Finding{Area: "coordinates", Fault: strings.Join(left, ", ") + ": in no pool, and its credential is good still",
			Mend: "slipway pools apply --config slipway.yaml --remove " + strings.Join(left, ",") + " --yes"})
	}
	return out
}

// unaccounted are coordinates without an account on the forge.
func unaccounted(ctx context.Context, forge config.Forge, coordinates []pools.Address) []reconcile.Finding {
	client, err := gitea.New(gitea.Config{URL: forge.URL, Login: forge.Login, Token: func() (string, error) { return forge.Token.Reveal(), nil }})
	if forge.Kind != "gitea" || err != nil {
		return nil
	}
	roster, err := gitea.Recruiter{Client: client}.Muster(ctx, onboard.Crew{Coordinates: coordinates})
	if err != nil {
		return nil // said of the forge already
	}
	var without []string
	for _, a := range coordinates {
		if found := roster.Accounts[onboard.Lower(a.String())]; found.Read && found.Is == nil {
			without = append(without, a.String())
		}
	}
	if len(without) == 0 {
		return nil
	}
	return []reconcile.Finding{{Area: "coordinates", Fault: fmt.Sprintf("%s: no account on the forge %s", strings.Join(without, ", "), forge.Name), Mend: applyCommand}}
}
