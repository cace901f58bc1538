package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/pools"
)

const (
	// MostItems is how many items or attempts are listed at most, and usualItems
	// how many where nobody says.
	MostItems  = 1000
	usualItems = 100
	// workLimit is the largest body about work that is read, in bytes.
	workLimit = 1 << 20
)

// Work is what the dispatcher does for people and for coordinates.
type Work interface {
	Desk
	Orders
	WorkReader
	PoolReader
	Credentials
}

// Desk is where coordinates claim work and report on it. Each call is one of
// the worker protocol, by the coordinate that as names. A token that is stale is
// dispatcher.ErrStale, an attempt of another coordinate dispatcher.ErrForeign;
// both are journalled there.
type Desk interface {
	// Claim waits as long as the request says, or until ctx ends; nil is no work.
	Claim(ctx context.Context, as pools.Address, r dispatcher.ClaimRequest) (*dispatcher.Grant, error)
	Beat(ctx context.Context, as pools.Address, id dispatcher.AttemptID, b dispatcher.Beat) (dispatcher.Pulse, error)
	Register(ctx context.Context, as pools.Address, id dispatcher.AttemptID, r dispatcher.Registration) error
	Complete(ctx context.Context, as pools.Address, id dispatcher.AttemptID, c dispatcher.Completion) error
	Fail(ctx context.Context, as pools.Address, id dispatcher.AttemptID, f dispatcher.Failure) error
}

// Orders are what people have done about work. What cannot be is
// fault.Permanent, with every fault in it.
type Orders interface {
	Submit(ctx context.Context, by string, s dispatcher.Submission) (i dispatcher.Item, existed bool, err error)
	Cancel(ctx context.Context, by string, id dispatcher.ItemID, reason string) error
	Retry(ctx context.Context, by string, id dispatcher.ItemID, reason string) error
	// Cordon keeps a coordinate from new work. With drain its removal is meant.
	Cordon(ctx context.Context, by string, a pools.Address, drain bool, reason string) error
	Uncordon(ctx context.Context, by string, a pools.Address, reason string) error
}

// WorkReader answers what is asked about work. A Client is one as well.
type WorkReader interface {
	Work(ctx context.Context, id dispatcher.ItemID) (w dispatcher.Work, found bool, err error)
	Items(ctx context.Context, f dispatcher.Filter) ([]dispatcher.Item, error)
	Attempts(ctx context.Context, f dispatcher.Filter) ([]dispatcher.Attempt, error)
}

// WorkOrder is the body of an order to an item.
type WorkOrder struct {
	// Reason is kept with it; to cancel an item it is needed.
	Reason string `json:"reason,omitempty"`
}

func (s *Server) workRoutes() {
	s.guardWork("GET /api/v1/work/items", authz.WorkRead, s.items)
	s.guardWork("POST /api/v1/work/items", authz.WorkSubmit, s.submit)
	s.guardWork("GET /api/v1/work/items/{id}", authz.WorkRead, s.item)
	s.guardWork("POST /api/v1/work/items/{id}/cancel", authz.WorkCancel, s.cancel)
	s.guardWork("POST /api/v1/work/items/{id}/retry", authz.WorkRetry, s.retry)
	s.guardWork("GET /api/v1/work/attempts", authz.WorkRead, s.attempts)
}

// guardWork is guard for what is there only where there are pools.
func (s *Server) guardWork(pattern string, verb authz.Verb, h handler) {
	s.guard(pattern, verb, func(w http.ResponseWriter, r *http.Request, who Token) {
		if s.noPools(w) {
			return
		}
		h(w, r, who)
	})
}

func (s *Server) noPools(w http.ResponseWriter) bool {
	if s.Work != nil {
		return false
	}
	refuseAs(w, http.StatusNotFound, codeNoPools, "this server has no pools: slipway.yaml names their file under pools.file")
	return true
}

func (s *Server) items(w http.ResponseWriter, r *http.Request, _ Token) {
	f, err := filterOf(r.URL.Query(), "repo", "state", "kind", "pull", "limit")
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	list, err := s.Work.Items(r.Context(), f)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, each(list, itemTold))
}

func (s *Server) attempts(w http.ResponseWriter, r *http.Request, _ Token) {
	f, err := filterOf(r.URL.Query(), "repo", "pull", "address", "live", "limit")
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	list, err := s.Work.Attempts(r.Context(), f)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, each(list, attemptTold))
}

func (s *Server) item(w http.ResponseWriter, r *http.Request, _ Token) {
	found, ok := s.workOf(w, r)
	if !ok {
		return
	}
	answer(w, http.StatusOK, dispatcher.Work{Item: itemTold(found.Item), Attempts: each(found.Attempts, attemptTold)})
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request, who Token) {
	var o dispatcher.Submission
	if !read(w, r, &o, workLimit) {
		return
	}
	i, existed, err := s.Work.Submit(r.Context(), who.Name, o)
	switch {
	case fault.KindOf(err) == fault.Permanent:
		refuseAll(w, http.StatusBadRequest, err)
	case err != nil:
		s.fail(w, r, err)
	case existed:
		answer(w, http.StatusOK, itemTold(i))
	default:
		s.Log.Info("order", "token", who.Name, "verb", authz.WorkSubmit, "item", i.ID, "repository", i.Repo)
		// What nothing can take says so from the first.
		if now, found, err := s.Work.Work(r.Context(), i.ID); err == nil && found {
			i = now.Item
		}
		answer(w, http.StatusCreated, itemTold(i))
	}
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request, who Token) {
	var o WorkOrder
	if !read(w, r, &o, workLimit) {
		return
	}
	if strings.TrimSpace(o.Reason) == "" {
		refuse(w, http.StatusBadRequest, "the order wants a reason: the journal keeps why")
		return
	}
	found, ok := s.workOf(w, r)
	if !ok {
		return
	}
	id := found.Item.ID
	if err := authz.CheckOwn(who.Actor, authz.WorkCancel, found.Item.Submitter, s.Now()); err != nil {
		s.refused(r.Context(), asked{token: who.Name, verb: authz.WorkCancel, subject: subjectOf(r)}, err.Error())
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	s.accept(w, r, who, authz.WorkCancel, o.Reason, s.Work.Cancel(r.Context(), who.Name, id, o.Reason))
}

func (s *Server) retry(w http.ResponseWriter, r *http.Request, who Token) {
	var o WorkOrder
	if !read(w, r, &o, workLimit) {
		return
	}
	found, ok := s.workOf(w, r)
	if !ok {
		return
	}
	s.accept(w, r, who, authz.WorkRetry, o.Reason, s.Work.Retry(r.Context(), who.Name, found.Item.ID, o.Reason))
}

// accept answers what came of an order.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, who Token, verb authz.Verb, reason string, err error) {
	switch {
	case errors.Is(err, dispatcher.ErrUnknown):
		refuseAs(w, http.StatusNotFound, codeUnknown, err.Error())
	case err != nil:
		s.fail(w, r, err)
	default:
		s.Log.Info("order", "token", who.Name, "verb", verb, "subject", subjectOf(r), "reason", reason)
		answer(w, http.StatusAccepted, map[string]string{"result": "accepted"})
	}
}

// workOf is the item that the path names, or the refusal is answered.
func (s *Server) workOf(w http.ResponseWriter, r *http.Request) (dispatcher.Work, bool) {
	n, err := positive(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the item's "+err.Error())
		return dispatcher.Work{}, false
	}
	found, known, err := s.Work.Work(r.Context(), dispatcher.ItemID(n))
	switch {
	case err != nil:
		s.fail(w, r, err)
	case !known:
		refuseAs(w, http.StatusNotFound, codeUnknown, fmt.Sprintf("item %d is not known here", n))
	default:
		return found, true
	}
	return dispatcher.Work{}, false
}

// itemTold is an item without what lets somebody act for its attempt.
func itemTold(i dispatcher.Item) dispatcher.Item {
	i.Token = 0
	return i
}

// attemptTold is an attempt without what lets somebody act for it, and without
// the prompt, which is its coordinate's to read.
func attemptTold(a dispatcher.Attempt) dispatcher.Attempt {
	a.Token, a.Request, a.Assignment.Prompt.Text = 0, "", ""
	a.Phases = notNil(a.Phases)
	return a
}

// each is what becomes of all of a list; never nil.
func each[T any](list []T, what func(T) T) []T {
	out := make([]T, 0, len(list))
	for _, x := range list {
		out = append(out, what(x))
	}
	return out
}

// filterOf reads a query that may have these keys and no others.
func filterOf(q url.Values, keys ...string) (dispatcher.Filter, error) {
	f := dispatcher.Filter{Limit: usualItems}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for key, values := range q {
		if !slices.Contains(keys, key) {
			fault("there is no %s here: want %s", key, strings.Join(keys, ", "))
			continue
		}
		if len(values) != 1 {
			fault("%s is given %d times", key, len(values))
		}
		var err error
		switch v := values[0]; key {
		case "repo":
			f.Repo, err = ref.ParseRepo(v)
		case "pull":
			f.Pull, err = ref.ParsePull(v)
		case "address":
			f.Address, err = pools.ReadAddress(v)
		case "kind":
			if f.Kind = dispatcher.Kind(v); f.Kind != dispatcher.Build && f.Kind != dispatcher.Review {
				fault("there is no kind %q: want %s or %s", v, dispatcher.Build, dispatcher.Review)
			}
		case "state":
			f.States, err = ParseStates(v)
		case "live":
			if f.Live, err = strconv.ParseBool(v); err != nil {
				err = fmt.Errorf("live is true or false, not %q", v)
			}
		case "limit":
			if f.Limit, err = strconv.Atoi(v); err != nil || f.Limit < 1 || f.Limit > MostItems {
				err = fmt.Errorf("limit is 1 to %d", MostItems)
			}
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return f, errors.Join(faults...)
}

// States lists the states of an item, in the order of its life.
func States() []dispatcher.State {
	return []dispatcher.State{dispatcher.Ready, dispatcher.Working, dispatcher.Landing, dispatcher.Done, dispatcher.Dead, dispatcher.Cancelled}
}

// ParseStates reads states of an item, separated by commas.
func ParseStates(text string) ([]dispatcher.State, error) {
	var out []dispatcher.State
	for word := range strings.SplitSeq(text, ",") {
		state := dispatcher.State(strings.TrimSpace(word))
		if !slices.Contains(States(), state) {
			return nil, fmt.Errorf("there is no state %q: want %s", state, joined(States()))
		}
		out = append(out, state)
	}
	return out, nil
}

func joined[T ~string](list []T) string {
	parts := make([]string, 0, len(list))
	for _, x := range list {
		parts = append(parts, string(x))
	}
	return strings.Join(parts, ", ")
}

// positive reads a number from 1.
func positive(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || text != strconv.FormatInt(n, 10) {
		return 0, fmt.Errorf("number is from 1, not %q", text)
	}
	return n, nil
}
