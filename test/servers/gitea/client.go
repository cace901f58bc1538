package gitea

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
)

const (
	callLimit   = 30 * time.Second // one call of the API
	answerLimit = 8 << 20          // bytes of one answer
)

// Refusal is an answer of the API that is not a success.
type Refusal struct {
	Call   string // method and path
	Status int
	Body   string
}

// Error gives the call, the status and what the server said.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %d %s", r.Call, r.Status, strings.TrimSpace(r.Body))
}

// Client returns the official SDK's client for a token. Its calls end with ctx.
// As with Call, a person's token for everything stands for the person.
func (s *Server) Client(ctx context.Context, token string) (*sdk.Client, error) {
	if a, everything := s.holder(token); everything {
		return s.ClientOf(ctx, a)
	}
	return s.connect(ctx, sdk.SetToken(token))
}

// ClientOf returns the official SDK's client for an account, whose password
// counts if it has one: no token's scopes hold it back.
func (s *Server) ClientOf(ctx context.Context, a Account) (*sdk.Client, error) {
	if a.Password == "" {
		return s.connect(ctx, sdk.SetToken(a.Token))
	}
	return s.connect(ctx, sdk.SetBasicAuth(a.Login, a.Password))
}

// Call makes one call of the API that the SDK lacks: path begins after /api/v1,
// in is sent and out filled as JSON, and both may be nil. An answer that is not
// a success is a *Refusal.
//
// A token is hashed ten thousand times, and its use written down, at each call.
// A person's token for everything allows what the person's password does, which
// costs next to nothing here: so that is what is sent in its place.
func (s *Server) Call(ctx context.Context, token, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL()+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	if a, everything := s.holder(token); everything {
		request.SetBasicAuth(a.Login, a.Password)
	} else {
		request.Header.Set("Authorization", "token "+token)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return &Refusal{Call: method + " " + path, Status: response.StatusCode, Body: string(answer)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// asAdmin makes one call of the SDK as the administrator.
func (s *Server) asAdmin(ctx context.Context, call func(*sdk.Client) (*sdk.Response, error)) error {
	client, err := s.ClientOf(ctx, s.admin)
	if err != nil {
		return err
	}
	_, err = call(client)
	return err
}

// holder is the person that a token for everything belongs to.
func (s *Server) holder(token string) (Account, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	a, everything := s.holders[token]
	return a, everything
}

// keep remembers whose token for everything it is.
func (s *Server) keep(a Account, token string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.holders[token] = a
}

func (s *Server) connect(ctx context.Context, who sdk.ClientOption) (*sdk.Client, error) {
	return sdk.NewClient(s.URL(), who, sdk.SetContext(ctx), sdk.SetHTTPClient(s.http),
		sdk.SetGiteaVersion("1.27.3")) // spares a call to ask for it
}
