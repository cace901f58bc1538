// Package pools says which coordinates there are, which work each takes, and
// what each runs: roles, tiers and replicas, the assignments of models to
// coordinates, how two such sets differ, and where a piece of work fits. A
// coordinate's name says nothing of a model, and no name outside a Set does
// (P1). It reads nothing and has no clock.
package pools

import (
	"time"
)

// Address is one coordinate, written <role>-<tier>-<replica>: builder-lite-0.
// Its pod, its Secret, its accounts and its branches carry this name. The zero
// value names nobody.
type Address struct {
	Role    string
	Tier    string
	Replica int // from 0
}

// PoolName is the coordinates of one role and tier, written <role>-<tier>.
type PoolName struct {
	Role string
	Tier string
}

// Vocabulary is the roles and tiers that there may be. Anything else in an
// address is refused.
type Vocabulary struct {
	Roles []string `json:"roles"`
	Tiers []string `json:"tiers"`
}

// Selector chooses coordinates: an empty field restricts nothing. It is written
// like the address it restricts to, with * for what is free: builder,
// builder-lite, builder-lite-0, builder-*-0. The zero value, written *, chooses
// every coordinate.
type Selector struct {
	Role    string
	Tier    string
	Replica *int
}

// Money is an amount in millionths of the set's currency. It is exact: prices
// and budgets are added up and compared, never rounded on the way.
type Money int64

// Prices are what a provider asks for a million tokens of each kind.
type Prices struct {
	Input      Money `json:"input"`
	Output     Money `json:"output"`
	CacheRead  Money `json:"cache_read"`
	CacheWrite Money `json:"cache_write"`
}

// Tokens are counted by kind. Input does not hold those read from or written to
// a cache.
type Tokens struct {
	Input      int64 `json:"input,omitempty"`
	Output     int64 `json:"output,omitempty"`
	CacheRead  int64 `json:"cache_read,omitempty"`
	CacheWrite int64 `json:"cache_write,omitempty"`
}

// Prompt is a file beside the pool config, by what it held when it was read.
type Prompt struct {
	File string `json:"file"`
	// Hash is the SHA-256 of Text, in hexadecimal.
	Hash string `json:"hash"`
	Text string `json:"text"`
}

// Assignment is what a coordinate runs: one named, complete record.
type Assignment struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Prompt   Prompt `json:"prompt"`
	// Parameters are passed on to the command as they stand: JSON, or "".
	Parameters string `json:"parameters,omitempty"`
	Prices     Prices `json:"prices"`
	// Budget is what one attempt may cost; 0 means no bound of its own.
	Budget Money `json:"budget,omitempty"`
}

// Pool is the coordinates of one role and tier.
type Pool struct {
	Name PoolName
	// Replicas is how many coordinates it has, from 0.
	Replicas int
	// Operator answers for its agents; "" is unknown.
	Operator string
	// Limit is how many attempts may be live in it at once; 0: one a coordinate.
	Limit int
	// Daily is what all its attempts of one day (UTC) may cost; 0: no bound.
	Daily Money
	// Deadline is how long one attempt may take; 0: the server's.
	Deadline time.Duration
	// Canary, if any, is run in place of the coordinate's own assignment.
	Canary *Canary
}

// Canary is an assignment that a share of a pool's items is given.
type Canary struct {
	Assignment string // by name
	// Share is of the items, above 0 and up to 1. Which they are follows from the
	// item alone.
	Share float64
}

// Set is a whole pool config, validated. It is a value: nobody changes one that
// is in force.
type Set struct {
	// Number is given by the store, rising; 0 was never stored.
	Number     int64
	Vocabulary Vocabulary
	Currency   string   // ISO 4217
	Shapes     []string // of specs, declared; sorted
	Pools      []Pool   // by role and tier
	// Assignments are the records, by name.
	Assignments map[string]Assignment
	// Replicas names the assignment of every coordinate.
	Replicas map[Address]string
	// Source is the text that the set was read from.
	Source string
}
