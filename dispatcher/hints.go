package dispatcher

import "sync"

// hints are things to look at again. One that is hinted at many times before
// anybody looks is looked at once; one that is hinted at during a look is looked
// at once more.
type hints[T comparable] struct {
	woken chan struct{} // capacity 1

	mu    sync.Mutex
	queue []T
	there map[T]bool
}

func newHints[T comparable]() *hints[T] {
	return &hints[T]{woken: make(chan struct{}, 1), there: map[T]bool{}}
}

// add leaves a hint.
func (h *hints[T]) add(things ...T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range things {
		if !h.there[t] {
			h.there[t] = true
			h.queue = append(h.queue, t)
		}
	}
	if len(h.queue) > 0 {
		poke(h.woken)
	}
}

// next takes the oldest hint; ok is false when there is none.
func (h *hints[T]) next() (t T, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return t, false
	}
	t = h.queue[0]
	h.queue = h.queue[1:]
	delete(h.there, t)
	return t, true
}
