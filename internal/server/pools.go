package server

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/pools"
)

// MostSets is how many pool configs of the past are listed at most.
const MostSets = 100

// PoolReader answers what is asked about pools.
type PoolReader interface {
	Set(ctx context.Context) (s dispatcher.StoredSet, found bool, err error)
	// History lists the last n sets, newest first.
	History(ctx context.Context, n int) ([]dispatcher.StoredSet, error)
	Seats(ctx context.Context) ([]dispatcher.Seat, error)
}

// Pools changes the one file that says what each coordinate runs.
type Pools interface {
	// Swap gives a coordinate another assignment. What cannot be is
	// fault.Permanent.
	Swap(ctx context.Context, by string, o SwapOrder) (Swapped, error)
	// Rollback puts an earlier set in force again; 0 is the one before.
	Rollback(ctx context.Context, by string, number int64) (Swapped, error)
	// Faults are those that the file had when it was last read. While it has any,
	// it changes nothing (P3).
	Faults() []string
}

// SwapOrder is the body of a swap: a coordinate, and what it is to run. That is
// the one assignment of this provider and model, or the one of a name.
type SwapOrder struct {
	Address    pools.Address `json:"address"`
	Provider   string        `json:"provider,omitempty"`
	Model      string        `json:"model,omitempty"`
	Assignment string        `json:"assignment,omitempty"`
	// DryRun asks only what would change.
	DryRun bool `json:"dry_run,omitempty"`
}

// RollbackOrder is the body of a rollback.
type RollbackOrder struct {
	// Number is that of the set to return to; 0 is the one before.
	Number int64 `json:"number,omitempty"`
}

// CordonOrder is the body of a cordon.
type CordonOrder struct {
	Reason string `json:"reason"`
	// Drain says that the coordinate is to go once it has no work.
	Drain bool `json:"drain,omitempty"`
}

// Swapped is what became of a swap or a rollback.
type Swapped struct {
	// Result is applied, planned (it was only asked what would change), patch
	// (the file is somebody else's to write), or unchanged.
	Result string `json:"result"`
	// Number is that of the set in force now.
	Number int64 `json:"number"`
	// Diff is what changes in the file, as a patch to it.
	Diff    string         `json:"diff,omitempty"`
	Changes []pools.Change `json:"changes"`
	// Reason says why the file was not written.
	Reason string `json:"reason,omitempty"`
}

// The results of a swap.
const (
	Applied   = "applied"
	Planned   = "planned"
	Patch     = "patch"
	Unchanged = "unchanged"
)

// InForce is the pool config in force, with who takes what.
type InForce struct {
	SetHead
	Vocabulary  pools.Vocabulary   `json:"vocabulary"`
	Currency    string             `json:"currency"`
	Shapes      []string           `json:"shapes"`
	Pools       []Pool             `json:"pools"`
	Assignments []pools.Assignment `json:"assignments"` // without the prompts' texts
	Seats       []Seat             `json:"coordinates"`
	// Faults are those of the file as it was last read.
	Faults []string `json:"faults"`
}

// SetHead says which set is meant, and how it came.
type SetHead struct {
	Number int64     `json:"number"`
	Hash   string    `json:"hash"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Why    string    `json:"why"`
}

// PastSet is one set of the past, and what it changed.
type PastSet struct {
	SetHead
	Changes []pools.Change `json:"changes"`
}

// Pool is a pool as the API tells of it.
type Pool struct {
	Name     pools.PoolName `json:"name"`
	Replicas int            `json:"replicas"`
	Operator string         `json:"operator,omitempty"`
	Limit    int            `json:"limit,omitempty"`
	Daily    pools.Money    `json:"daily_budget,omitempty"`
	Deadline float64        `json:"deadline_seconds,omitempty"`
	Canary   string         `json:"canary,omitempty"`
	Share    float64        `json:"canary_share,omitempty"`
}

// Seat is a coordinate, what it runs, and how it stands.
type Seat struct {
	Address    pools.Address `json:"address"`
	Assignment string        `json:"assignment,omitempty"`
	Provider   string        `json:"provider,omitempty"`
	Model      string        `json:"model,omitempty"`
	Config     string        `json:"config,omitempty"`
	// Gone says that it is in no pool any more.
	Gone     bool      `json:"gone,omitempty"`
	Cordoned bool      `json:"cordoned,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	By       string    `json:"by,omitempty"`
	Seen     time.Time `json:"seen,omitzero"`
	// Live is its live attempt; 0 for none.
	Live  dispatcher.AttemptID `json:"live_attempt,omitempty"`
	Epoch int64                `json:"epoch,omitempty"`
}

// ReadInForce puts together what is in force; found is false before the first
// pool config.
func ReadInForce(ctx context.Context, r PoolReader) (f InForce, found bool, err error) {
	s, found, err := r.Set(ctx)
	if err != nil || !found {
		return InForce{}, false, err
	}
	known, err := r.Seats(ctx)
	if err != nil {
		return InForce{}, false, err
	}
	f = InForce{
		SetHead: headOf(s), Vocabulary: s.Vocabulary, Currency: s.Currency, Shapes: notNil(s.Shapes), Faults: []string{},
		Pools: []Pool{}, Assignments: []pools.Assignment{}, Seats: []Seat{},
	}
	f.Vocabulary.Roles, f.Vocabulary.Tiers = notNil(f.Vocabulary.Roles), notNil(f.Vocabulary.Tiers)
	for _, p := range s.Pools {
		f.Pools = append(f.Pools, poolOf(p))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Assignments)) {
		a := s.Assignments[name]
		a.Prompt.Text = ""
		f.Assignments = append(f.Assignments, a)
	}
	f.Seats = seatsOf(s.Set, known)
	return f, true, nil
}

// ReadPast lists the last n sets, newest first, each with what it changed.
func ReadPast(ctx context.Context, r PoolReader, n int) ([]PastSet, error) {
	sets, err := r.History(ctx, n+1)
	if err != nil {
		return nil, err
	}
	out := []PastSet{}
	for i, s := range sets {
		if i == n {
			break
		}
		past := PastSet{SetHead: headOf(s), Changes: []pools.Change{}}
		if i+1 < len(sets) {
			past.Changes = notNil(pools.Diff(sets[i+1].Set, s.Set))
		}
		out = append(out, past)
	}
	return out, nil
}

// Set is what is in force as a value to compare with, but for the prompts'
// texts: those are told apart by their hashes.
func (f InForce) Set() pools.Set {
	s := pools.Set{
		Number: f.Number, Vocabulary: f.Vocabulary, Currency: f.Currency, Shapes: f.Shapes,
		Assignments: map[string]pools.Assignment{}, Replicas: map[pools.Address]string{},
	}
	for _, p := range f.Pools {
		made := pools.Pool{
			Name: p.Name, Replicas: p.Replicas, Operator: p.Operator, Limit: p.Limit, Daily: p.Daily,
			Deadline: time.Duration(math.Round(p.Deadline * float64(time.Second))),
		}
		if p.Canary != "" {
			made.Canary = &pools.Canary{Assignment: p.Canary, Share: p.Share}
		}
		s.Pools = append(s.Pools, made)
	}
	for _, a := range f.Assignments {
		s.Assignments[a.Name] = a
	}
	for _, seat := range f.Seats {
		if !seat.Gone {
			s.Replicas[seat.Address] = seat.Assignment
		}
	}
	return s
}

func (s *Server) poolRoutes() {
	s.guardWork("GET /api/v1/pools", authz.Read, s.inForce)
	s.guardWork("GET /api/v1/pools/history", authz.Read, s.past)
	s.guardWork("POST /api/v1/pools/swap", authz.PoolsSwap, s.swap)
	s.guardWork("POST /api/v1/pools/rollback", authz.PoolsRollback, s.rollback)
	s.guardWork("POST /api/v1/pools/seats/{address}/cordon", authz.PoolsCordon, s.cordon)
	s.guardWork("POST /api/v1/pools/seats/{address}/uncordon", authz.PoolsCordon, s.uncordon)
}

func (s *Server) inForce(w http.ResponseWriter, r *http.Request, _ Token) {
	f, found, err := ReadInForce(r.Context(), s.Work)
	switch {
	case err != nil:
		s.fail(w, r, err)
		return
	case !found:
		f = InForce{Shapes: []string{}, Pools: []Pool{}, Assignments: []pools.Assignment{}, Seats: []Seat{}}
		f.Vocabulary = pools.Vocabulary{Roles: []string{}, Tiers: []string{}}
	}
	f.Faults = notNil(s.Pools.Faults())
	answer(w, http.StatusOK, f)
}

func (s *Server) past(w http.ResponseWriter, r *http.Request, _ Token) {
	n, err := number(r, "limit", 20)
	if err != nil || n < 1 || n > MostSets {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("limit is 1 to %d", MostSets))
		return
	}
	list, err := ReadPast(r.Context(), s.Work, int(n))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, list)
}

func (s *Server) swap(w http.ResponseWriter, r *http.Request, who Token) {
	var o SwapOrder
	if !read(w, r, &o, workLimit) {
		return
	}
	switch {
	case o.Address.IsZero():
		refuse(w, http.StatusBadRequest, "the order wants an address: which coordinate is to run something else?")
		return
	case (o.Assignment == "") == (o.Model == "" && o.Provider == ""):
		refuse(w, http.StatusBadRequest, "the order wants a provider and a model, or an assignment in their place")
		return
	}
	done, err := s.Pools.Swap(r.Context(), who.Name, o)
	s.swapped(w, r, who, authz.PoolsSwap, done, err)
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request, who Token) {
	var o RollbackOrder
	if !read(w, r, &o, workLimit) {
		return
	}
	if o.Number < 0 {
		refuse(w, http.StatusBadRequest, "number is that of a set, or 0 for the one before")
		return
	}
	done, err := s.Pools.Rollback(r.Context(), who.Name, o.Number)
	s.swapped(w, r, who, authz.PoolsRollback, done, err)
}

func (s *Server) swapped(w http.ResponseWriter, r *http.Request, who Token, verb authz.Verb, done Swapped, err error) {
	switch {
	case fault.KindOf(err) == fault.Permanent:
		refuseAll(w, http.StatusConflict, err)
		return
	case err != nil:
		s.fail(w, r, err)
		return
	}
	done.Changes = notNil(done.Changes)
	s.Log.Info("order", "token", who.Name, "verb", verb, "result", done.Result, "number", done.Number)
	answer(w, http.StatusOK, done)
}

func (s *Server) cordon(w http.ResponseWriter, r *http.Request, who Token) {
	a, ok := addressOf(w, r)
	if !ok {
		return
	}
	var o CordonOrder
	if !read(w, r, &o, workLimit) {
		return
	}
	if strings.TrimSpace(o.Reason) == "" {
		refuse(w, http.StatusBadRequest, "the order wants a reason: the journal keeps why")
		return
	}
	s.accept(w, r, who, authz.PoolsCordon, o.Reason, s.Work.Cordon(r.Context(), who.Name, a, o.Drain, o.Reason))
}

func (s *Server) uncordon(w http.ResponseWriter, r *http.Request, who Token) {
	a, ok := addressOf(w, r)
	if !ok {
		return
	}
	var o WorkOrder
	if !read(w, r, &o, workLimit) {
		return
	}
	s.accept(w, r, who, authz.PoolsCordon, o.Reason, s.Work.Uncordon(r.Context(), who.Name, a, o.Reason))
}

func addressOf(w http.ResponseWriter, r *http.Request) (pools.Address, bool) {
	a, err := pools.ReadAddress(r.PathValue("address"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
	}
	return a, err == nil
}

func headOf(s dispatcher.StoredSet) SetHead {
	return SetHead{Number: s.Number, Hash: s.Hash(), At: s.At, By: s.By, Why: s.Why}
}

func poolOf(p pools.Pool) Pool {
	out := Pool{
		Name: p.Name, Replicas: p.Replicas, Operator: p.Operator, Limit: p.Limit, Daily: p.Daily, Deadline: p.Deadline.Seconds(),
	}
	if p.Canary != nil {
		out.Canary, out.Share = p.Canary.Assignment, p.Canary.Share
	}
	return out
}

// seatsOf are the set's coordinates and those that it has no more but that
// still have an attempt, by address.
func seatsOf(s pools.Set, known []dispatcher.Seat) []Seat {
	out := []Seat{}
	for _, a := range s.Addresses() {
		as := s.Assignments[s.Replicas[a]]
		out = append(out, Seat{Address: a, Assignment: as.Name, Provider: as.Provider, Model: as.Model, Config: as.Hash()})
	}
	for _, k := range known {
		i := slices.IndexFunc(out, func(s Seat) bool { return s.Address == k.Address })
		if i < 0 {
			if k.Live == 0 {
				continue
			}
			out = append(out, Seat{Address: k.Address, Gone: true})
			i = len(out) - 1
		}
		seat := &out[i]
		seat.Cordoned, seat.Reason, seat.By, seat.Seen = k.Cordoned, k.Reason, k.By, k.Seen
		seat.Live, seat.Epoch = k.Live, k.Epoch
	}
	slices.SortFunc(out, func(a, b Seat) int { return a.Address.Compare(b.Address) })
	return out
}
