package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func push(repo string) string {
	return fmt.Sprintf(`{"ref":"refs/heads/main","after":%q,"repository":{"full_name":%q}}`, strings.Repeat("a", 40), repo)
}

func TestDeliveries(t *testing.T) {
	ours := push("acme/app")
	for _, c := range []struct {
		rule, forge, body string
		secret            string // "" signs nothing
		want              int
		count             string
		due               bool
	}{
		{rule: "without a signature it is refused", body: ours, want: 401, count: "gitea unsigned"},
		{rule: "with another secret's signature it is refused", body: ours, secret: "guess", want: 401, count: "gitea unsigned"},
		{rule: "without a signature it is not read either", body: "{", want: 401, count: "gitea unsigned"},
		{rule: "over 1 MiB and without a signature it is not even measured", body: strings.Repeat(" ", 1<<20+1), want: 401, count: "gitea unsigned"},
		{rule: "signed garbage is no delivery", body: "{", secret: hookSecret, want: 400, count: "gitea unreadable"},
		{rule: "over 1 MiB it is refused though it is signed", body: ours + strings.Repeat(" ", 1<<20), secret: hookSecret, want: 413, count: "gitea too_large"},
		{rule: "over 1 MiB it is refused before it is verified", body: strings.Repeat(" ", 1<<20+1), secret: "guess", want: 413, count: "gitea too_large"},
		{rule: "of a repository that is not served it is ignored", body: push("acme/other"), secret: hookSecret, want: 202, count: "gitea unserved"},
		{rule: "about nothing that matters it is ignored", body: `{"repository":{"full_name":"acme/app"}}`, secret: hookSecret, want: 202, count: "gitea ignored"},
		{rule: "of a forge that is not known there is nothing", forge: "nobody", body: ours, secret: hookSecret, want: 404, count: "unknown unknown_forge"},
		{rule: "as it should be it makes due what it speaks of", body: ours, secret: hookSecret, want: 202, count: "gitea accepted", due: true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t)
			if c.forge == "" {
				c.forge = "gitea"
			}
			var header http.Header
			if c.secret != "" {
				header = signed(c.secret, []byte(c.body))
			}
			got := w.send(http.MethodPost, "/hooks/"+c.forge, header, []byte(c.body))
			if got.status != c.want {
				t.Errorf("answered %d %s, want %d", got.status, got.body, c.want)
			}
			if !slices.Equal(w.counted, []string{c.count}) {
				t.Errorf("counted %q, want %q", w.counted, c.count)
			}
			if due := w.due(); (len(due) > 0) != c.due {
				t.Errorf("due are %q", due)
			}
		})
	}
}

func TestADeliveryTwiceIsOneLook(t *testing.T) {
	w := newWorld(t)
	body := []byte(push("acme/app"))
	for range 3 {
		if got := w.send(http.MethodPost, "/hooks/gitea", signed(hookSecret, body), body); got.status != 202 {
			t.Fatalf("answered %d %s", got.status, got.body)
		}
	}
	due := w.due()
	slices.Sort(due)
	if !slices.Equal(due, []string{"branch acme/app@main", "repo acme/app"}) {
		t.Errorf("due are %q", due)
	}
}

func TestADeliveryThatIsNotKeptIsNotTaken(t *testing.T) {
	w := newWorld(t)
	w.store.Close()
	body := []byte(push("acme/app"))
	if got := w.send(http.MethodPost, "/hooks/gitea", signed(hookSecret, body), body); got.status != 503 || got.error() == "" {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if !slices.Equal(w.counted, []string{"gitea failed"}) {
		t.Errorf("counted %q", w.counted)
	}
}
