package github

import (
	"bytes"
	"container/list"
	"io"
	"net/http"
	"sync"
	"time"
)

// memory keeps the answers that were used last, up to so many bytes.
type memory struct {
	limit int

	mu     sync.Mutex
	size   int
	order  *list.List // of *kept, the last used first
	places map[string]*list.Element
}

type kept struct {
	key    string
	answer *answer
}

// answer is a good answer with its tag. It is never changed.
type answer struct {
	header http.Header
	body   []byte
	at     time.Time // when it was last confirmed, here
	date   time.Time // and by the server's clock; zero if it does not tell
}

func newMemory(limit int) *memory {
	return &memory{limit: limit, order: list.New(), places: map[string]*list.Element{}}
}

func (m *memory) find(key string) (*answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	place, found := m.places[key]
	if !found {
		return nil, false
	}
	m.order.MoveToFront(place)
	return place.Value.(*kept).answer, true
}

func (m *memory) keep(key string, a *answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if place, found := m.places[key]; found {
		m.drop(place)
	}
	m.places[key] = m.order.PushFront(&kept{key: key, answer: a})
	m.size += a.size(key)
	for m.size > m.limit && m.order.Len() > 0 {
		m.drop(m.order.Back())
	}
}

func (m *memory) drop(place *list.Element) {
	old := m.order.Remove(place).(*kept)
	delete(m.places, old.key)
	m.size -= old.answer.size(old.key)
}

// newAnswer takes what is needed of a response, and reads it to its end.
func newAnswer(response *http.Response) *answer {
	body, _ := io.ReadAll(response.Body) // read already
	a := &answer{header: http.Header{}, body: body}
	for _, name := range []string{"Content-Type", "ETag", "Link", "X-Oauth-Scopes"} {
		if value := response.Header.Get(name); value != "" {
			a.header.Set(name, value)
		}
	}
	return a.confirmed(response.Header)
}

// confirmed is the same answer, confirmed now.
func (a *answer) confirmed(header http.Header) *answer {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		date = time.Time{}
	}
	return &answer{header: a.header, body: a.body, at: time.Now(), date: date}
}

// response is the answer as if it had just come.
func (a *answer) response(request *http.Request) *http.Response {
	return &http.Response{
		Status:        "200 OK",
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header.Clone(),
		Body:          io.NopCloser(bytes.NewReader(a.body)),
		ContentLength: int64(len(a.body)),
		Request:       request,
	}
}

// size is roughly what it takes, in bytes.
func (a *answer) size(key string) int { return len(a.body) + 2*len(key) + 512 }
