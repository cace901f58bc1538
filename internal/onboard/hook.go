package onboard

import (
	"fmt"
	"net/url"
	"strings"
)

// hook compares the webhooks. One that leads to the same path of another host
// is taken for ours from before, and set right.
func (m *maker) hook() {
	if !m.is.Hooks.Read {
		m.unread("webhook", RightRepository, m.is.Hooks.Why)
		return
	}
	want := m.want.Hook
	var ours, moved []Hook
	for _, h := range m.is.Hooks.Is {
		if want.URL == "" && endsIn(h.URL, m.want.HookPath) {
			want.URL = h.URL // it is not known better
		}
		switch {
		case h.URL == want.URL:
			ours = append(ours, h)
		case endsIn(h.URL, m.want.HookPath):
			moved = append(moved, h)
		}
	}
	if want.URL == "" {
		m.add(Step{Key: "webhook", Where: "slipway.yaml", Needs: RightOperator, Blocked: "it is not known where the forge is to deliver to",
			Mend: "set external_url in slipway.yaml"})
		return
	}
	var d diff
	switch {
	case len(ours) > 0:
		want.ID = ours[0].ID
		d = hookLines(ours[0], want, m.want.RenewHook)
	case len(moved) > 0:
		want.ID = moved[0].ID
		d = append(diff{{"address", moved[0].URL, want.URL}}, hookLines(moved[0], want, m.want.RenewHook)...)
	default:
		d = diff{{"address", "no webhook", want.URL}}
	}
	if len(d) > 0 {
		m.settable("webhook", RightRepository, want, d...)
	}
	m.doubles(ours)
	if len(ours) > 0 && ours[0].Failing != "" {
		m.add(Step{Key: "webhook delivery", Where: "the forge", Needs: RightOperator, Blocked: "the last delivery failed: " + ours[0].Failing,
			Mend: "can the forge reach " + want.URL + "?"})
	}
}

// doubles are left to people: each may have been made for a reason.
func (m *maker) doubles(ours []Hook) {
	if len(ours) < 2 {
		return
	}
	var ids []string
	for _, h := range ours[1:] {
		ids = append(ids, fmt.Sprint(h.ID))
	}
	m.add(Step{Key: "webhook twice", Where: "the forge", Needs: RightRepository,
		Blocked: fmt.Sprintf("%d webhooks deliver to %s", len(ours), ours[0].URL),
		Mend:    "delete the webhooks " + strings.Join(ids, ", ") + " in the repository's settings"})
}

func hookLines(is, want Hook, renew bool) diff {
	var d diff
	d.flag("active", is.Active, want.Active)
	d.flag("content type is JSON", is.JSON, want.JSON)
	d.flag("signed", is.Signed, want.Signed)
	if len(is.Missing) > 0 {
		d = append(d, Line{"events", "without " + strings.Join(is.Missing, ", "), "all that Slipway needs"})
	}
	if renew {
		d = append(d, Line{"secret", "not told by the forge", "as in slipway.yaml"})
	}
	return d
}

// endsIn says whether an address leads to the path of the forge's webhook,
// wherever the server is.
func endsIn(address, path string) bool {
	u, err := url.Parse(address)
	return err == nil && path != "" && strings.HasSuffix(u.Path, path)
}
