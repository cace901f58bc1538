package gitea

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/internal/onboard"
	"slipway/internal/ref"
	"slipway/pools"
)

// Recruiter is a Gitea as the coordinates' accounts are made on it, with the
// token of somebody who administers it.
type Recruiter struct{ *Client }

var _ onboard.Recruiter = Recruiter{}

const (
	// tokenPrefix begins the names of the tokens that are made here; others on
	// the same account are left alone.
	tokenPrefix = "slipway-"
	// tokenStamp follows it: when the token was made.
	tokenStamp = "20060102T150405.000Z"
	// mailDomain is where the accounts have their address, to which nothing is
	// ever delivered (RFC 2606). It has to be theirs alone: commits are told by it.
	mailDomain = "slipway.invalid"
	// passwordBytes make a password that nobody keeps: tokens are all that is
	// used.
	passwordBytes = 32
)

// accountRow is an account as Gitea shows it to administrators.
type accountRow struct {
	Login      string `json:"login"`
	LoginName  string `json:"login_name"`
	Source     int64  `json:"source_id"`
	Admin      bool   `json:"is_admin"`
	Restricted bool   `json:"restricted"`
	Active     bool   `json:"active"`
	Prohibited bool   `json:"prohibit_login"`
}

type accountTokenRow struct {
	Name    string    `json:"name"`
	Secret  string    `json:"sha1"` // only of one just made
	Ending  string    `json:"token_last_eight"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created_at"`
}

// token is a secret on its way to where it is kept.
type token string

// Reveal gives it up.
func (t token) Reveal() string { return string(t) }

// String and the other printed forms tell nothing.
func (t token) String() string   { return "[redacted]" }
func (t token) GoString() string { return t.String() }

// crewScopes are all that a coordinate's work takes: to push, to open pull
// requests and to review them, and to be told its own name.
func crewScopes() []string { return []string{"read:user", "write:repository"} }

// recruiterScopes are what making accounts takes of a token.
func recruiterScopes() []string {
	return []string{"write:admin", "write:organization", "write:repository", "write:user"}
}

// Muster reads the accounts with their tokens, and the teams.
func (r Recruiter) Muster(ctx context.Context, w onboard.Crew) (onboard.Roster, error) {
	is := onboard.Roster{Self: r.login, Accounts: map[string]onboard.Found[*onboard.Account]{}, Teams: map[string]onboard.Found[*onboard.CrewTeamIs]{}}
	var user accountRow
	_, err := r.get(ctx, "/user", &user)
	if s := status(err); s != 0 && s != http.StatusForbidden || err != nil && s == 0 {
		return is, fmt.Errorf("look at the forge: %w", sorted(err))
	}
	if err == nil {
		is.Self, is.Site = user.Login, ref.Known(user.Admin)
	}
	is.Unscoped = r.unscoped(ctx)
	if is.Site == ref.Unknown { // the token does not let it say who it is
		is.Site = ref.Known(len(is.Unscoped) == 0)
	}
	var group errgroup.Group
	group.SetLimit(together)
	var mu sync.Mutex
	for _, a := range slices.Concat(w.Coordinates, w.Remove) {
		group.Go(func() error {
			found := r.account(ctx, a, is)
			mu.Lock()
			defer mu.Unlock()
			is.Accounts[onboard.Lower(a.String())] = found
			return nil
		})
	}
	for _, t := range w.Teams {
		group.Go(func() error {
			found := r.crewTeam(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			is.Teams[t.Key()] = found
			return nil
		})
	}
	_ = group.Wait() // each says what it could not read
	return is, ctx.Err()
}

// Set makes one part so.
func (r Recruiter) Set(ctx context.Context, p onboard.Part) error {
	var err error
	switch p := p.(type) {
	case onboard.Enlisted:
		err = r.enlist(ctx, p.Address)
	case onboard.CrewTeam:
		err = r.setCrewTeam(ctx, p)
	case onboard.Withdrawn:
		err = r.withdraw(ctx, p.Address, p.Token)
	case onboard.Dismissed:
		err = r.dismiss(ctx, p)
	default:
		return fmt.Errorf("a Gitea holds no %T of a crew", p)
	}
	if err != nil {
		return fmt.Errorf("set up the crew: %w", denied(err))
	}
	return nil
}

// Issue makes a token with the scopes that work takes. Its name says when, for
// two tokens of an account cannot have one name.
func (r Recruiter) Issue(ctx context.Context, a pools.Address, now time.Time) (onboard.Secret, error) {
	var made accountTokenRow
	name := tokenPrefix + now.UTC().Format(tokenStamp)
	err := r.asPerson(ctx, http.MethodPost, tokensPath(a), map[string]any{"name": name, "scopes": crewScopes()}, &made)
	switch {
	case err != nil:
		return nil, fmt.Errorf("make a token for %s: %w", a, denied(err))
	case made.Secret == "":
		return nil, fmt.Errorf("make a token for %s: the forge does not tell it", a)
	}
	return token(made.Secret), nil
}

// unscoped finds the token's scopes in the refusal of a question, if any is
// refused, and says which are missing.
func (r Recruiter) unscoped(ctx context.Context) []string {
	for _, ask := range []string{"/admin/cron?limit=1", "/user", "/orgs?limit=1", "/repos/search?limit=1"} {
		_, err := r.get(ctx, ask, nil)
		shown := scopesShown.FindStringSubmatch(fmt.Sprint(err))
		if status(err) != http.StatusForbidden || shown == nil {
			continue
		}
		scopes := strings.Split(strings.Trim(shown[1], "[]"), ",")
		return slices.DeleteFunc(recruiterScopes(), func(n string) bool { return covers(scopes, n) })
	}
	return nil
}

// account reads one account. What matters of it is told to administrators only.
func (r Recruiter) account(ctx context.Context, a pools.Address, is onboard.Roster) onboard.Found[*onboard.Account] {
	var row accountRow
	_, err := r.get(ctx, "/users/"+url.PathEscape(a.String()), &row)
	switch {
	case status(err) == http.StatusNotFound:
		return onboard.Read[*onboard.Account](nil)
	case err != nil:
		return onboard.Unread[*onboard.Account](err.Error())
	case is.Site != ref.Yes || len(is.Unscoped) > 0:
		return onboard.Unread[*onboard.Account]("what " + a.String() + " may do and which tokens it has is told to an administrator of the forge, and " + is.Self + " is none or has a token with too few scopes")
	}
	found := &onboard.Account{Site: row.Admin, Restricted: row.Restricted, Barred: row.Prohibited || !row.Active}
	var rows []accountTokenRow
	if err := r.asPerson(ctx, http.MethodGet, tokensPath(a)+"?limit=50", nil, &rows); err != nil {
		return onboard.Unread[*onboard.Account](err.Error())
	}
	for _, t := range rows {
		if !strings.HasPrefix(t.Name, tokenPrefix) {
			continue
		}
		slices.Sort(t.Scopes)
		found.Tokens = append(found.Tokens, onboard.AccountToken{
			Name: t.Name, Ending: t.Ending, Created: t.Created, Enough: slices.Equal(t.Scopes, crewScopes()),
		})
	}
	return onboard.Read(found)
}

// enlist makes the account, or takes from one that is there what it may beyond
// its team's rights.
func (r Recruiter) enlist(ctx context.Context, a pools.Address) error {
	login := a.String()
	var row accountRow
	_, err := r.get(ctx, "/users/"+url.PathEscape(login), &row)
	if status(err) == http.StatusNotFound {
		var random [passwordBytes]byte
		if _, err := rand.Read(random[:]); err != nil {
			return err
		}
		_, err = r.call(ctx, http.MethodPost, "/admin/users", map[string]any{
			"username": login, "email": login + "@" + mailDomain, "password": "aA1-" + base64.RawURLEncoding.EncodeToString(random[:]),
			"must_change_password": false, "restricted": true, "send_notify": false,
		}, &row)
	}
	if err != nil {
		return err
	}
	if row.LoginName == "" {
		row.LoginName = login
	}
	_, err = r.call(ctx, http.MethodPatch, "/admin/users/"+url.PathEscape(login), map[string]any{
		"login_name": row.LoginName, "source_id": row.Source, "active": true, "restricted": true, "prohibit_login": false,
		"allow_create_organization": false, "max_repo_creation": 0, "allow_git_hook": false, "allow_import_local": false,
	}, nil)
	return err
}

func (r Recruiter) withdraw(ctx context.Context, a pools.Address, name string) error {
	err := r.asPerson(ctx, http.MethodDelete, tokensPath(a)+"/"+url.PathEscape(name), nil, nil)
	if status(err) == http.StatusNotFound {
		return nil
	}
	return err
}

// dismiss bars the account first, so that a run that is cut off leaves nobody
// in.
func (r Recruiter) dismiss(ctx context.Context, d onboard.Dismissed) error {
	login := d.Address.String()
	var row accountRow
	if _, err := r.get(ctx, "/users/"+url.PathEscape(login), &row); err != nil {
		return err
	}
	if row.LoginName == "" {
		row.LoginName = login
	}
	_, err := r.call(ctx, http.MethodPatch, "/admin/users/"+url.PathEscape(login), map[string]any{
		"login_name": row.LoginName, "source_id": row.Source, "prohibit_login": true,
	}, nil)
	if err != nil {
		return err
	}
	for _, t := range d.Teams {
		team, found, err := r.teamRow(ctx, t)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if _, err := r.call(ctx, http.MethodDelete, teamPath(team.ID, "members", login), nil, nil); err != nil && status(err) != http.StatusNotFound {
			return err
		}
	}
	found := r.account(ctx, d.Address, onboard.Roster{Site: ref.Yes})
	if !found.Read || found.Is == nil {
		return errors.New(found.Why)
	}
	for _, t := range found.Is.Tokens {
		if err := r.withdraw(ctx, d.Address, t.Name); err != nil {
			return err
		}
	}
	return nil
}

// asPerson makes a call that Gitea takes with a name and a password only, as
// which it accepts a token too.
func (r Recruiter) asPerson(ctx context.Context, method, path string, in, out any) error {
	carried, ok := r.http.Transport.(*carrier)
	if !ok {
		return errors.New("there is no token to ask with")
	}
	secret, err := carried.token()
	if err != nil {
		return fmt.Errorf("get the token: %w", err)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, r.base+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth(r.login, strings.TrimSpace(secret))
	client := &http.Client{Transport: carried.next, Timeout: r.http.Timeout, CheckRedirect: r.http.CheckRedirect}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, refusalLimit))
	switch {
	case err != nil:
		return err
	case response.StatusCode/100 != 2:
		return &refusal{status: response.StatusCode, text: message(bytes.ReplaceAll(data, []byte(strings.TrimSpace(secret)), []byte("[redacted]")))}
	case out == nil:
		return nil
	}
	return json.Unmarshal(data, out)
}

func tokensPath(a pools.Address) string { return "/users/" + url.PathEscape(a.String()) + "/tokens" }
