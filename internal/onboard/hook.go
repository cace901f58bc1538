package onboard

import (
	"fmt"
	"net/url"
	"strings"
)

// hook compares the webhooks. One that leads to the same path of another host
// is taken for ours from before, and set right.
func (m *maker) hook() {
	if m.want.Hook == nil {
		return
	}
	if !m.is.Hooks.Read {
		m.unread("webhook", RightRepository, m.is.Hooks.Why)
		return
	}
	want := *m.want.Hook
	var ours, moved []Hook
	for _, h := range m.is.Hooks.Is {
		switch {
		case h.URL == want.URL:
			ours = append(ours, h)
		case samePath(h.URL, want.URL):
			moved = append(moved, h)
		}
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

// samePath says whether two addresses differ in where the server is only.
func samePath(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Path == y.Path && strings.Contains(y.Path, "/hooks/")
}
