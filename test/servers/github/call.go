package github

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// call is one request on its way.
type call struct {
	*Server

	request *http.Request
	route   route
	body    []byte
	cred    credential
	repo    *repository // nil for a call about none
	header  http.Header // of the answer
}

// reply is an answer: a status and what becomes its JSON; nil for no body.
type reply struct {
	status int
	body   any
}

// object is a JSON object.
type object = map[string]any

const bodyLimit = 4 << 20

// handler serves the API at the root and below /api/v3, and the repositories.
func (s *Server) handler() http.Handler {
	all := routes()
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if strings.Contains(request.URL.Path, ".git/") {
			s.serveGit(w, request)
			return
		}
		path := strings.TrimPrefix(request.URL.EscapedPath(), "/api/v3")
		r, params, found := find(all, request.Method, path)
		if !found {
			s.config.OnViolation(fmt.Errorf("%s %s: this server has no such call", request.Method, request.URL.Path))
			s.send(w, reply{http.StatusNotImplemented, object{"message": "the stand-in has no such call"}})
			return
		}
		for name, value := range params {
			request.SetPathValue(name, value)
		}
		s.serve(w, request, r, params)
	})
}

func (s *Server) serve(w http.ResponseWriter, request *http.Request, r route, params map[string]string) {
	body, err := io.ReadAll(io.LimitReader(request.Body, bodyLimit))
	if err != nil {
		return // the caller has gone
	}
	if status := s.tamper.before(request.Method, r.path); status != 0 {
		s.send(w, reply{status, object{"message": http.StatusText(status)}})
		return
	}
	c := &call{Server: s, request: request, route: r, body: body, header: w.Header()}
	violation := s.config.API.checkRequest(request, r.path, params, body)
	if violation != nil {
		s.config.OnViolation(violation)
	}
	answer := func() reply {
		s.turn.Lock()
		defer s.turn.Unlock()
		return c.answered(violation)
	}()
	finished, err := s.config.API.finish(request.Method, r.path, answer.status, answer.body)
	if err != nil {
		s.config.OnViolation(err)
	}
	if status := s.tamper.after(request.Method, r.path); status != 0 {
		s.send(w, reply{status, object{"message": http.StatusText(status)}})
		return
	}
	c.conditional(w, reply{answer.status, finished})
}

// answered goes through what GitHub asks before it does anything.
func (c *call) answered(violation error) reply {
	if refused, ok := c.authenticate(); !ok {
		return refused
	}
	if refused, ok := c.limited(); !ok {
		return refused
	}
	if refused, ok := c.authorise(); !ok {
		return refused
	}
	if violation != nil {
		return c.refuse(http.StatusUnprocessableEntity, "Invalid request.\n\n"+violation.Error())
	}
	return c.route.handle(c)
}

// conditional writes the answer, or that it is what the caller has already.
func (c *call) conditional(w http.ResponseWriter, answer reply) {
	if c.request.Method == http.MethodGet && answer.status == http.StatusOK {
		text, _ := json.Marshal(answer.body)
		sum := sha256.Sum256(append(text, c.request.Header.Get("Authorization")...))
		tag := `W/"` + hex.EncodeToString(sum[:]) + `"`
		w.Header().Set("ETag", tag)
		if c.request.Header.Get("If-None-Match") == tag {
			answer = reply{status: http.StatusNotModified}
		}
	}
	c.count(w.Header(), answer.status)
	c.send(w, answer)
}

func (s *Server) send(w http.ResponseWriter, answer reply) {
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(answer.status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer.body) // the caller may have gone
}

// refuse is an answer that is no success, as GitHub words it.
func (c *call) refuse(status int, message string, faults ...object) reply {
	body := object{"message": message, "documentation_url": "https://docs.github.com/rest"}
	if len(faults) > 0 {
		body["errors"] = faults
	}
	return reply{status, body}
}

func (c *call) notFound() reply { return c.refuse(http.StatusNotFound, "Not Found") }

// invalid is a 422 about one field.
func (c *call) invalid(resource, field, code, message string) reply {
	fault := object{"resource": resource, "code": code}
	if field != "" {
		fault["field"] = field
	}
	if message != "" {
		fault["message"] = message
	}
	return c.refuse(http.StatusUnprocessableEntity, "Validation Failed", fault)
}

// read fills in from the request's body.
func (c *call) read(into any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	return json.Unmarshal(c.body, into)
}

// param is a part of the path.
func (c *call) param(name string) string { return c.request.PathValue(name) }

// number is a part of the path that is one; 0 when it is not.
func (c *call) number(name string) int64 {
	n, err := strconv.ParseInt(c.param(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (c *call) query(name string) string { return c.request.URL.Query().Get(name) }

// page gives the part of a list that was asked for, and says where more is.
func (c *call) page(list []any) []any {
	size, number := 30, 1
	if n, err := strconv.Atoi(c.query("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	if n, err := strconv.Atoi(c.query("page")); err == nil && n > 0 {
		number = n
	}
	pages := max(1, (len(list)+size-1)/size)
	var links []string
	link := func(relation string, to int) {
		values, _ := url.ParseQuery(c.request.URL.RawQuery)
		values.Set("page", strconv.Itoa(to))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, c.URL(), c.request.URL.EscapedPath(), values.Encode(), relation))
	}
	if number > 1 {
		link("prev", number-1)
		link("first", 1)
	}
	if number < pages {
		link("next", number+1)
		link("last", pages)
	}
	if len(links) > 0 {
		c.header.Set("Link", strings.Join(links, ", "))
	}
	from := min((number-1)*size, len(list))
	part := list[from:min(from+size, len(list))]
	if part == nil {
		return []any{}
	}
	return part
}

func (c *call) ok(body any) reply { return reply{http.StatusOK, body} }

// list answers with a page of a list.
func (c *call) list(rows []any) reply { return c.ok(c.page(rows)) }

// rows renders each of a slice.
func rows[T any](list []T, render func(T) object) []any {
	out := make([]any, 0, len(list))
	for _, one := range list {
		out = append(out, render(one))
	}
	return out
}
