package onboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"slipway/pools"
)

// Hands are what a crew's plan is made from and carried out with.
type Hands struct {
	Forge  Recruiter
	Server Purser
	Keeps  []Keep
	Yards  []Yard
}

// endingLength is how much of a token's end a forge tells.
const endingLength = 8

// Look reads all that a crew's plan follows from. What could not be read says
// so in its own place.
func (h Hands) Look(ctx context.Context, w Crew) (CrewWorld, error) {
	var is CrewWorld
	var err error
	if is.Roster, err = h.Forge.Muster(ctx, w); err != nil {
		return is, err
	}
	is.Credentials = found(h.Server.Credentials(ctx))
	is.Posts = found(h.Server.Posts(ctx))
	for _, k := range h.Keeps {
		held, err := k.Held(ctx)
		is.Keeps = append(is.Keeps, KeepIs{k.Name(), found(h.hidden(held), err)})
	}
	for _, y := range h.Yards {
		is.Yards = append(is.Yards, YardIs{y.Name(), found(y.Compare(ctx, w))})
	}
	return is, ctx.Err()
}

// Apply carries out a crew's plan in order and tells of each step as it is
// done. A step that is refused leaves the others to be done all the same, and a
// run that was cut off is continued by making a new plan and applying that: a
// secret is good before it is put in place.
func (h Hands) Apply(ctx context.Context, w Crew, p CrewPlan, told func(Outcome)) []Outcome {
	all := make([]Outcome, 0, len(p.Steps))
	for _, s := range p.Steps {
		o := h.carryOut(ctx, w, s)
		told(o)
		all = append(all, o)
	}
	return all
}

func (h Hands) carryOut(ctx context.Context, w Crew, s Step) Outcome {
	if s.Blocked != "" || s.part == nil {
		return Outcome{Step: s, Fault: s.Blocked, Mend: s.Mend}
	}
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	err := h.set(ctx, w.Now, s)
	switch {
	case err == nil:
		return Outcome{Step: s, Done: true}
	case errors.Is(err, ErrDenied):
		return Outcome{Step: s, Fault: err.Error(), Mend: or(s.denied, s.Mend)}
	default:
		return Outcome{Step: s, Fault: err.Error(), Mend: "run it again: " + s.Mend}
	}
}

func (h Hands) set(ctx context.Context, now time.Time, s Step) error {
	switch p := s.part.(type) {
	case equipped:
		return h.equip(ctx, now, p)
	case revoked:
		return h.Server.Revoke(ctx, p.hash)
	case cleared:
		return h.Keeps[p.keep].Clear(ctx, p.address)
	case built:
		for _, y := range h.Yards {
			if y.Name() == s.cluster {
				return y.Make(ctx, p.of)
			}
		}
		return fmt.Errorf("there is no cluster %s here", s.cluster)
	default:
		return h.Forge.Set(ctx, s.part)
	}
}

// equip makes what a coordinate lacks and puts it into the keeps.
func (h Hands) equip(ctx context.Context, now time.Time, e equipped) (err error) {
	var s Secrets
	if s.Worker, err = h.secret(ctx, e.address, e.worker, func(s Secrets) Secret { return s.Worker }, func() (Secret, error) {
		return h.Server.Mint(ctx, e.address)
	}); err != nil {
		return err
	}
	if s.Forge, err = h.secret(ctx, e.address, e.forge, func(s Secrets) Secret { return s.Forge }, func() (Secret, error) {
		return h.Forge.Issue(ctx, e.address, now)
	}); err != nil {
		return err
	}
	for _, i := range e.into {
		if err := h.Keeps[i].Put(ctx, e.address, s); err != nil {
			return err
		}
	}
	return nil
}

// secret is the one that a keep holds, or a new one.
func (h Hands) secret(ctx context.Context, a pools.Address, keep int, of func(Secrets) Secret, mint func() (Secret, error)) (Secret, error) {
	if keep < 0 {
		return mint()
	}
	held, err := h.Keeps[keep].Held(ctx)
	if err != nil {
		return nil, err
	}
	s := of(held[a])
	if s == nil {
		return nil, fmt.Errorf("%s held a secret of %s a moment ago and does not now", h.Keeps[keep].Name(), a)
	}
	return s, nil
}

// hidden is what a keep holds, without the secrets.
func (h Hands) hidden(all map[pools.Address]Secrets) map[pools.Address]Held {
	out := make(map[pools.Address]Held, len(all))
	for a, s := range all {
		var held Held
		if s.Worker != nil {
			held.Worker = h.Server.Hash(s.Worker.Reveal())
			if held.Worker == "" {
				held.Worker = digest(s.Worker.Reveal()) // something stands there, though it is no credential
			}
		}
		if s.Forge != nil {
			held.Forge = ending(s.Forge.Reveal())
		}
		out[a] = held
	}
	return out
}

// ending is how the forge tells tokens apart.
func ending(token string) string { return token[max(0, len(token)-endingLength):] }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func found[T any](is T, err error) Found[T] {
	if err != nil {
		return Unread[T](err.Error())
	}
	return Read(is)
}
