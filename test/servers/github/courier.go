package github

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// courier delivers webhooks, one after the other, in the order in which things
// happened.
type courier struct {
	api         *Description
	onViolation func(error)
	client      *http.Client
	stopped     context.CancelFunc
	done        chan struct{}
	news        chan struct{}

	mutex sync.Mutex
	queue []delivery
}

type delivery struct {
	event string
	body  []byte
	hook  hook
}

// deliveryLimit bounds one delivery, as GitHub does.
const deliveryLimit = 10 * time.Second

func newCourier(api *Description, onViolation func(error)) *courier {
	ctx, cancel := context.WithCancel(context.Background())
	c := &courier{api: api, onViolation: onViolation, client: &http.Client{Timeout: deliveryLimit}, stopped: cancel,
		done: make(chan struct{}), news: make(chan struct{}, 1)}
	go c.work(ctx)
	return c
}

func (c *courier) stop() {
	c.stopped()
	<-c.done
}

// send queues a delivery to each hook that wants the event. name is that of the
// published description, such as pull-request-opened.
func (c *courier) send(hooks []*hook, event, name string, body object) {
	schema := c.api.webhook(name)
	if schema == nil {
		c.onViolation(fmt.Errorf("webhook %s: it is not described", name))
		return
	}
	settled, err := settle(schema, body)
	if err != nil {
		c.onViolation(fmt.Errorf("webhook %s: %w", name, err))
	}
	text, err := json.Marshal(settled)
	if err != nil {
		c.onViolation(fmt.Errorf("webhook %s: %w", name, err))
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, h := range hooks {
		if h.active && (slices.Contains(h.events, event) || slices.Contains(h.events, "*")) {
			c.queue = append(c.queue, delivery{event, text, *h})
		}
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

func (c *courier) work(ctx context.Context) {
	defer close(c.done)
	for {
		d, found := c.next()
		if found {
			c.deliver(ctx, d)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-c.news:
		}
	}
}

func (c *courier) next() (delivery, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.queue) == 0 {
		return delivery{}, false
	}
	first := c.queue[0]
	c.queue = c.queue[1:]
	return first, true
}

// deliver posts one delivery. GitHub does not try again, so neither does this.
func (c *courier) deliver(ctx context.Context, d delivery) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.hook.url, bytes.NewReader(d.body))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "GitHub-Hookshot/0000000")
	request.Header.Set("X-GitHub-Event", d.event)
	request.Header.Set("X-GitHub-Delivery", rand.Text())
	request.Header.Set("X-GitHub-Hook-ID", fmt.Sprint(d.hook.id))
	if d.hook.secret != "" {
		mac := hmac.New(sha256.New, []byte(d.hook.secret))
		mac.Write(d.body)
		request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	response, err := c.client.Do(request)
	if err == nil {
		response.Body.Close()
	}
}
