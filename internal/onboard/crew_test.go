package onboard_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/internal/onboard"
	"slipway/internal/ref"
	"slipway/pools"
)

var crewTime = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

type crewSecret string

func (s crewSecret) Reveal() string { return string(s) }

// harbourmaster is a forge, a server and keeps in memory, all of which obey.
type harbourmaster struct {
	roster  onboard.Roster
	known   []onboard.WorkerCredential
	posts   map[pools.Address]onboard.Post
	keeps   []*cupboard
	minted  int
	refuses string // the coordinate whose token is refused
	now     time.Time
}

type cupboard struct {
	name string
	held map[pools.Address]onboard.Secrets
}

func (c *cupboard) Name() string { return c.name }
func (c *cupboard) Held(context.Context) (map[pools.Address]onboard.Secrets, error) {
	return c.held, nil
}
func (c *cupboard) Put(_ context.Context, a pools.Address, s onboard.Secrets) error {
	c.held[a] = s
	return nil
}
func (c *cupboard) Clear(_ context.Context, a pools.Address) error {
	delete(c.held, a)
	return nil
}

func newHarbourmaster(keeps ...string) *harbourmaster {
	h := &harbourmaster{now: crewTime, posts: map[pools.Address]onboard.Post{}, roster: onboard.Roster{
		Self: "ada", Site: ref.Yes, Accounts: map[string]onboard.Found[*onboard.Account]{}, Teams: map[string]onboard.Found[*onboard.CrewTeamIs]{},
	}}
	for _, k := range keeps {
		h.keeps = append(h.keeps, &cupboard{k, map[pools.Address]onboard.Secrets{}})
	}
	return h
}

func (h *harbourmaster) hands() onboard.Hands {
	hands := onboard.Hands{Forge: h, Server: h}
	for _, k := range h.keeps {
		hands.Keeps = append(hands.Keeps, k)
	}
	return hands
}

func (h *harbourmaster) Muster(_ context.Context, w onboard.Crew) (onboard.Roster, error) {
	for _, a := range slices.Concat(w.Coordinates, w.Remove) {
		if _, there := h.roster.Accounts[a.String()]; !there {
			h.roster.Accounts[a.String()] = onboard.Read[*onboard.Account](nil)
		}
	}
	for _, t := range w.Teams {
		if _, there := h.roster.Teams[t.Key()]; !there {
			h.roster.Teams[t.Key()] = onboard.Read[*onboard.CrewTeamIs](nil)
		}
	}
	return h.roster, nil
}

func (h *harbourmaster) Set(_ context.Context, p onboard.Part) error {
	switch p := p.(type) {
	case onboard.Enlisted:
		account := h.account(p.Address)
		account.Restricted, account.Barred = true, false
	case onboard.CrewTeam:
		h.roster.Teams[p.Key()] = onboard.Read(&onboard.CrewTeamIs{Enough: true, Repositories: p.Repositories, Members: p.Members})
	case onboard.Withdrawn:
		account := h.account(p.Address)
		account.Tokens = slices.DeleteFunc(account.Tokens, func(t onboard.AccountToken) bool { return t.Name == p.Token })
	case onboard.Dismissed:
		account := h.account(p.Address)
		account.Barred, account.Tokens = true, nil
	}
	return nil
}

func (h *harbourmaster) account(a pools.Address) *onboard.Account {
	if found := h.roster.Accounts[a.String()]; found.Is == nil {
		h.roster.Accounts[a.String()] = onboard.Read(&onboard.Account{})
	}
	return h.roster.Accounts[a.String()].Is
}

func (h *harbourmaster) Issue(_ context.Context, a pools.Address, now time.Time) (onboard.Secret, error) {
	if a.String() == h.refuses {
		return nil, fmt.Errorf("a token: %w", onboard.ErrDenied)
	}
	h.minted++
	secret := fmt.Sprintf("forge-%08d", h.minted)
	h.account(a).Tokens = append(h.account(a).Tokens, onboard.AccountToken{Name: fmt.Sprint("slipway-", h.minted), Ending: secret[len(secret)-8:], Enough: true, Created: now})
	return crewSecret(secret), nil
}

func (h *harbourmaster) Credentials(context.Context) ([]onboard.WorkerCredential, error) {
	return h.known, nil
}

func (h *harbourmaster) Posts(context.Context) (map[pools.Address]onboard.Post, error) {
	return h.posts, nil
}

func (h *harbourmaster) Mint(_ context.Context, a pools.Address) (onboard.Secret, error) {
	h.minted++
	secret := fmt.Sprintf("worker-%08d", h.minted)
	h.known = append(h.known, onboard.WorkerCredential{Hash: h.Hash(secret), Address: a, Created: h.now, Good: true})
	return crewSecret(secret), nil
}

func (h *harbourmaster) Revoke(_ context.Context, hash string) error {
	for i := range h.known {
		if h.known[i].Hash == hash {
			h.known[i].Good = false
		}
	}
	return nil
}

func (h *harbourmaster) Hash(secret string) string { return strings.Repeat("0", 20) + secret }

// crewOf is how two roles should be.
func crewOf(t interface{ Fatal(...any) }, names ...string) onboard.Crew {
	w := onboard.Crew{Grace: 10 * time.Minute, Now: crewTime}
	team := map[string]*onboard.CrewTeam{}
	for _, n := range names {
		a, err := pools.ReadAddress(n)
		if err != nil {
			t.Fatal(err)
		}
		w.Coordinates = append(w.Coordinates, a)
		if team[a.Role] == nil {
			team[a.Role] = &onboard.CrewTeam{Owner: "acme", Name: a.Role + "s", Writes: a.Role == "builder", Repositories: []ref.RepoID{{Owner: "acme", Name: "app"}}}
		}
		team[a.Role].Members = append(team[a.Role].Members, n)
	}
	for _, role := range []string{"builder", "reviewer"} {
		if team[role] != nil {
			w.Teams = append(w.Teams, *team[role])
		}
	}
	return w
}

// run plans and applies, and says the keys of the steps with the notes.
func (h *harbourmaster) run(t interface{ Fatal(...any) }, w onboard.Crew) (keys []string, p onboard.CrewPlan, out []onboard.Outcome) {
	is, err := h.hands().Look(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	p = onboard.MakeCrew(w, is)
	for _, s := range p.Steps {
		keys = append(keys, s.Key)
	}
	return keys, p, h.hands().Apply(context.Background(), w, p, func(onboard.Outcome) {})
}

func TestASecondRunOfACrewHasNothingToDo(t *testing.T) {
	h := newHarbourmaster("the folder", "the cluster")
	w := crewOf(t, "builder-lite-0", "reviewer-heavy-0")
	keys, _, _ := h.run(t, w)
	want := []string{"account builder-lite-0", "account reviewer-heavy-0", "team acme/builders", "team acme/reviewers", "secrets builder-lite-0", "secrets reviewer-heavy-0"}
	if !slices.Equal(keys, want) {
		t.Errorf("it does %q", keys)
	}
	if again, p, _ := h.run(t, w); len(again)+len(p.Notes) > 0 {
		t.Errorf("a second run does %q and says %q", again, p.Notes)
	}
	if h.minted != 4 {
		t.Errorf("%d secrets were made", h.minted)
	}
	h.keeps[1].held = map[pools.Address]onboard.Secrets{}
	if keys, _, _ := h.run(t, w); h.minted != 4 || len(keys) != 2 {
		t.Errorf("a keep that lost its secrets is given new ones (%d) or none (%q)", h.minted, keys)
	}
	if again, _, _ := h.run(t, w); len(again) > 0 {
		t.Errorf("and then %q", again)
	}
}

func TestOldSecretsGoAfterTheGraceOnly(t *testing.T) {
	h := newHarbourmaster("the folder")
	w := crewOf(t, "builder-lite-0")
	h.run(t, w)
	w.Rotate = w.Coordinates
	h.run(t, w)
	w.Rotate = nil
	if keys, p, _ := h.run(t, w); len(keys) > 0 || len(p.Notes) != 2 {
		t.Errorf("within the grace it does %q and says %q", keys, p.Notes)
	}
	w.Now = w.Now.Add(w.Grace)
	if keys, _, _ := h.run(t, w); len(keys) != 2 || !strings.HasPrefix(keys[0], "old credential builder-lite-0") || keys[1] != "old token builder-lite-0 slipway-2" {
		t.Errorf("after it %q", keys)
	}
	if keys, p, _ := h.run(t, w); len(keys)+len(p.Notes) > 0 {
		t.Errorf("and then %q, %q", keys, p.Notes)
	}
}

// TestNothingIsPutInPlaceThatIsNotGood has the forge refuse a token: the old
// secrets stay, and what was minted for nothing ends like any old one.
func TestNothingIsPutInPlaceThatIsNotGood(t *testing.T) {
	h := newHarbourmaster("the folder")
	w := crewOf(t, "builder-lite-0")
	h.run(t, w)
	held := h.keeps[0].held[w.Coordinates[0]]
	w.Rotate, h.refuses = w.Coordinates, "builder-lite-0"
	_, _, out := h.run(t, w)
	if len(out) != 1 || out[0].Done || !strings.Contains(out[0].Mend, "ADMIN_TOKEN") {
		t.Errorf("it says %+v", out)
	}
	if h.keeps[0].held[w.Coordinates[0]] != held {
		t.Error("half of the secrets was replaced")
	}
	w.Rotate, w.Now = nil, w.Now.Add(w.Grace)
	if keys, _, _ := h.run(t, w); len(keys) != 1 || !strings.HasPrefix(keys[0], "old credential") {
		t.Errorf("what was minted for nothing: %q", keys)
	}
}

func TestWhatCannotBeReadIsNotReplaced(t *testing.T) {
	w := crewOf(t, "builder-lite-0")
	good := newHarbourmaster("the folder")
	good.run(t, w)
	is, err := good.hands().Look(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*onboard.CrewWorld){
		"the server's credentials": func(is *onboard.CrewWorld) {
			is.Credentials = onboard.Unread[[]onboard.WorkerCredential]("it is down")
		},
		"a keep": func(is *onboard.CrewWorld) {
			is.Keeps[0].Held = onboard.Unread[map[pools.Address]onboard.Held]("it is locked")
		},
		"an account": func(is *onboard.CrewWorld) {
			is.Roster.Accounts["builder-lite-0"] = onboard.Unread[*onboard.Account]("no")
		},
		"a team": func(is *onboard.CrewWorld) {
			is.Roster.Teams["acme/builders"] = onboard.Unread[*onboard.CrewTeamIs]("no")
		},
		"the whole site": func(is *onboard.CrewWorld) { is.Roster.Accounts, is.Roster.Teams = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := is
			spoilt.Keeps = slices.Clone(is.Keeps)
			spoilt.Roster.Accounts = map[string]onboard.Found[*onboard.Account]{"builder-lite-0": is.Roster.Accounts["builder-lite-0"]}
			spoilt.Roster.Teams = map[string]onboard.Found[*onboard.CrewTeamIs]{"acme/builders": is.Roster.Teams["acme/builders"]}
			spoil(&spoilt)
			p := onboard.MakeCrew(w, spoilt)
			if len(p.Steps) == 0 {
				t.Error("nobody is told")
			}
			for _, s := range p.Steps {
				if s.Blocked == "" || s.Mend == "" {
					t.Errorf("it would do %q (%v)", s.Key, s.Lines)
				}
			}
		})
	}
}

func TestAPodGoesOnlyWithItsCoordinate(t *testing.T) {
	gone, err := pools.ReadAddress("builder-lite-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		remove  bool
		post    onboard.Post
		blocked string // "-": not planned at all
	}{
		{"a left-over one keeps its pod", false, onboard.Post{}, "-"},
		{"one at work keeps its pod", true, onboard.Post{Live: true}, "builder-lite-1: it is at work"},
		{"one that is given work keeps its pod", true, onboard.Post{InForce: true}, "builder-lite-1: the pool config in force has it and gives it work"},
		{"one that is drained goes", true, onboard.Post{InForce: true, Cordoned: true}, ""},
		{"one that nobody knows goes", true, onboard.Post{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := crewOf(t, "builder-lite-0")
			if c.remove {
				w.Remove = []pools.Address{gone}
			}
			is := onboard.CrewWorld{Posts: onboard.Read(map[pools.Address]onboard.Post{gone: c.post}), Yards: []onboard.YardIs{{
				Cluster: "main", Things: onboard.Read([]onboard.Thing{{Name: "StatefulSet builder-lite", Drops: []pools.Address{gone}, Lines: []onboard.Line{{What: "spec.replicas", Is: "2", Should: "1"}}}}),
			}}}
			p := onboard.MakeCrew(w, is)
			i := slices.IndexFunc(p.Steps, func(s onboard.Step) bool { return s.Key == "StatefulSet builder-lite" })
			switch {
			case c.blocked == "-" && (i >= 0 || len(p.Notes) == 0):
				t.Errorf("%+v, %q", p.Steps, p.Notes)
			case c.blocked != "-" && (i < 0 || p.Steps[i].Blocked != c.blocked):
				t.Errorf("%+v", p.Steps)
			}
		})
	}
}

// TestAnyCrewIsMadeInOneRun applies to whatever is there, with every right, and
// looks again.
func TestAnyCrewIsMadeInOneRun(t *testing.T) {
	all := []string{"builder-heavy-0", "builder-lite-0", "builder-lite-1", "reviewer-heavy-0"}
	rapid.Check(t, func(t *rapid.T) {
		h := newHarbourmaster("the folder", "the cluster")
		before := crewOf(t, rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, 4, rapid.ID).Draw(t, "before")...)
		h.run(t, before)
		for _, a := range before.Coordinates {
			if rapid.Bool().Draw(t, "lost") {
				delete(h.keeps[rapid.IntRange(0, 1).Draw(t, "keep")].held, a)
			}
			if rapid.Bool().Draw(t, "unrestricted") {
				h.account(a).Restricted = false
			}
			if rapid.Bool().Draw(t, "revoked") {
				h.known[rapid.IntRange(0, len(h.known)-1).Draw(t, "which")].Good = false
			}
		}
		w := crewOf(t, rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 4, rapid.ID).Draw(t, "after")...)
		w.Now = w.Now.Add(time.Hour)
		h.now = w.Now
		if rapid.Bool().Draw(t, "rotate") {
			w.Rotate = w.Coordinates
		}
		_, _, out := h.run(t, w)
		for _, o := range out {
			if !o.Done {
				t.Fatalf("%s: %s", o.Step.Key, o.Fault)
			}
		}
		w.Rotate, w.Now = nil, w.Now.Add(w.Grace)
		h.run(t, w) // old ones
		if keys, _, _ := h.run(t, w); len(keys) > 0 {
			t.Fatalf("it is not as it should be: %q", keys)
		}
		for _, k := range h.keeps {
			for _, a := range w.Coordinates {
				s := k.held[a]
				i := slices.IndexFunc(h.known, func(c onboard.WorkerCredential) bool { return c.Good && c.Address == a })
				if i < 0 || h.Hash(s.Worker.Reveal()) != h.known[i].Hash {
					t.Fatalf("%s has a secret of %s that the server does not know", k.name, a)
				}
			}
		}
	})
}

// TestARunLeavesAnotherOneTheSecretsThatItIsPuttingInPlace has a second run look
// between the two halves of a rotation.
func TestARunLeavesAnotherOneTheSecretsThatItIsPuttingInPlace(t *testing.T) {
	h := newHarbourmaster("the folder")
	w := crewOf(t, "builder-lite-0")
	h.run(t, w)
	w.Now = w.Now.Add(time.Hour)
	h.now = w.Now
	a := w.Coordinates[0]
	worker, _ := h.Mint(t.Context(), a)
	forge, _ := h.Issue(t.Context(), a, w.Now)
	if keys, p, _ := h.run(t, w); len(keys) > 0 || len(p.Notes) != 2 {
		t.Errorf("meanwhile the other does %q and says %q", keys, p.Notes)
	}
	h.keeps[0].held[a] = onboard.Secrets{Worker: worker, Forge: forge}
	w.Now = w.Now.Add(w.Grace)
	if keys, _, _ := h.run(t, w); len(keys) != 2 || h.minted != 4 {
		t.Errorf("what was replaced goes after the grace, and nothing new is made: %q", keys)
	}
}
