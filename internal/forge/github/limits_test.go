package github

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// roundTrip answers calls without a network, so that time can be made to pass.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return f(r), nil
}

func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

const branchBody = `{"ref":"refs/heads/main","object":{"type":"commit","sha":"1111111111111111111111111111111111111111"}}`

func main() ref.BranchID { return ref.BranchID{Repo: someRepo(), Name: "main"} }

func limited(t *testing.T, answer roundTrip) *Client {
	t.Helper()
	return must(New(Config{
		Login: "slipway", Token: func() (string, error) { return secretToken, nil },
		HTTPClient: &http.Client{Transport: answer}, Patience: 10 * time.Second,
	}))(t)
}

func TestRateLimits(t *testing.T) {
	in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	const secondary = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	tests := []struct {
		name  string
		first func() *http.Response // what the first call is answered; the second is a success
		wait  time.Duration         // that the call took, or that it says to wait
		calls int
		later bool // it fails with a time to try again
	}{
		{
			"a short Retry-After is waited for, and the read made again",
			func() *http.Response { return reply(403, secondary, "Retry-After", "3") }, 3 * time.Second, 2, false,
		},
		{
			"a long Retry-After is told and not waited for",
			func() *http.Response { return reply(429, secondary, "Retry-After", "60") }, time.Minute, 1, true,
		},
		{
			"the primary limit is told with its end",
			func() *http.Response {
				return reply(403, `{"message":"API rate limit exceeded"}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(30*time.Minute))
			}, 30*time.Minute + time.Second, 1, true,
		},
		{
			"a primary limit that ends soon is waited for",
			func() *http.Response {
				return reply(429, `{"message":"API rate limit exceeded"}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(4*time.Second))
			}, 5 * time.Second, 2, false,
		},
		{
			"a secondary limit that does not say for how long holds for a minute",
			func() *http.Response { return reply(403, secondary) }, time.Minute, 1, true,
		},
		{
			"too many requests without a word hold for a minute",
			func() *http.Response { return reply(429, `{}`) }, time.Minute, 1, true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				c := limited(t, func(*http.Request) *http.Response {
					if calls++; calls == 1 {
						return test.first()
					}
					return reply(200, branchBody)
				})
				begun := time.Now()
				_, err := c.Branch(context.Background(), main())
				if calls != test.calls {
					t.Errorf("%d calls, want %d", calls, test.calls)
				}
				if !test.later {
					if err != nil || time.Since(begun) != test.wait {
						t.Errorf("after %s: %v", time.Since(begun), err)
					}
					return
				}
				when, ok := fault.When(err)
				if !ok || when.Sub(begun) != test.wait || fault.KindOf(err) != fault.Later {
					t.Errorf("says %s (%t), want %s: %v", when.Sub(begun), ok, test.wait, err)
				}
				if time.Since(begun) != 0 {
					t.Errorf("it waited %s for nothing", time.Since(begun))
				}
				// Until then nothing is sent; afterwards it goes on.
				if _, err := c.Branch(context.Background(), main()); err == nil || calls != test.calls {
					t.Errorf("%d calls during the limit: %v", calls, err)
				}
				<-time.After(time.Until(when))
				if _, err := c.Branch(context.Background(), main()); err != nil {
					t.Errorf("after the limit: %v", err)
				}
			})
		})
	}
}

func TestAForbiddenCallIsNoRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limited(t, func(*http.Request) *http.Response {
			return reply(403, `{"message":"Resource not accessible by integration"}`, "X-RateLimit-Remaining", "4999")
		})
		_, err := c.Branch(context.Background(), main())
		if fault.KindOf(err) != fault.Permanent {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheLastCallThatIsLeftIsTheLastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := limited(t, func(*http.Request) *http.Response {
			calls++
			return reply(200, branchBody, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
		})
		if _, err := c.Branch(context.Background(), main()); err != nil {
			t.Fatal(err)
		}
		_, err := c.Branch(context.Background(), main())
		if _, ok := fault.When(err); !ok || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}

func TestACallWaitsNoLongerThanItsContextAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limited(t, func(*http.Request) *http.Response { return reply(429, `{}`, "Retry-After", "5") })
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := c.Branch(ctx, main())
		if when, ok := fault.When(err); !ok || when.Sub(begun) != 5*time.Second || time.Since(begun) != 0 {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

func TestPausesThatNobodyNamedGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limited(t, func(*http.Request) *http.Response { return reply(429, `{}`) })
		for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			begun := time.Now()
			_, err := c.Branch(context.Background(), main())
			when, ok := fault.When(err)
			if !ok || when.Sub(begun) != want {
				t.Fatalf("says %s, want %s: %v", when.Sub(begun), want, err)
			}
			<-time.After(want)
		}
	})
}

func TestWritesAreASecondApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Duration
		begun := time.Now()
		c := limited(t, func(*http.Request) *http.Response {
			sent = append(sent, time.Since(begun))
			return reply(201, `{"id":1}`)
		})
		for range 3 {
			if err := c.PostStatus(context.Background(), someRepo(), change.Posted{Head: someCommit, State: gate.StatePending}); err != nil {
				t.Fatal(err)
			}
		}
		for i, at := range sent {
			if at != time.Duration(i)*time.Second {
				t.Errorf("write %d after %s", i, at)
			}
		}
	})
}

func TestAWriteBeyondPatienceIsNotMadeAndTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		writes := 0
		c := limited(t, func(*http.Request) *http.Response { writes++; return reply(201, `{"id":1}`) })
		errs := make(chan error, 15)
		for range cap(errs) {
			go func() {
				errs <- c.PostStatus(context.Background(), someRepo(), change.Posted{Head: someCommit, State: gate.StatePending})
			}()
		}
		refused := 0
		for range cap(errs) {
			if err := <-errs; err != nil {
				refused++
				if _, ok := fault.When(err); !ok {
					t.Error(err)
				}
			}
		}
		if writes != 11 || refused != 4 { // at 0, 1, … 10 s
			t.Errorf("%d written, %d refused", writes, refused)
		}
	})
}

func TestAWriteThatWasLimitedIsNotMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		writes := 0
		c := limited(t, func(*http.Request) *http.Response { writes++; return reply(403, `{}`, "Retry-After", "1") })
		err := c.PostStatus(context.Background(), someRepo(), change.Posted{Head: someCommit, State: gate.StatePending})
		if _, ok := fault.When(err); !ok || writes != 1 {
			t.Errorf("%d writes, %v", writes, err)
		}
	})
}

func TestACallThatIsCancelledStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limited(t, func(*http.Request) *http.Response { return reply(429, `{}`, "Retry-After", "8") })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { _, err := c.Branch(ctx, main()); done <- err }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
