package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/deployer"
	"slipway/internal/ref"
)

// Limits of one health question.
const (
	probePatience  = 3 * time.Second
	probeBody      = 64 << 10 // bytes of an answer that are read
	probeHead      = 200      // bytes of an answer that are kept
	probesAtOnce   = 16
	probeRedirects = 5
)

// question is one request that asks for health.
type question struct {
	client *http.Client
	url    string
	field  string
	proxy  bool // the API server stands between, and may answer itself
}

// Probe asks each ready pod through the API server's pod proxy, or the declared
// URL once for all of them, and returns the pods with the answers. Answered is
// Yes only for a 2xx with a JSON object that holds the revision as a string; No
// is any other answer, or none in three seconds; Unknown is a question that
// could not be put. Pods that are not ready are not asked.
func (c *Cluster) Probe(ctx context.Context, s deployer.Spec, pods []deployer.Pod) []deployer.Pod {
	asked := slices.Clone(pods)
	var ready []*deployer.Pod
	for i := range asked {
		asked[i].Probe = deployer.Probe{}
		if asked[i].Ready == ref.Yes {
			ready = append(ready, &asked[i])
		}
	}
	if len(ready) == 0 {
		return asked
	}
	if c.simulated {
		return answerAll(asked, ready, unasked("the nodes are simulated: nobody answers there"))
	}
	if s.Health.URL != "" {
		return answerAll(asked, ready, c.askURL(ctx, s))
	}
	var group errgroup.Group
	group.SetLimit(probesAtOnce)
	for _, pod := range ready {
		group.Go(func() error {
			pod.Probe = c.askPod(ctx, s, pod.Name)
			return nil
		})
	}
	_ = group.Wait() // a failed probe is an answer, never an error
	return asked
}

func (c *Cluster) askPod(ctx context.Context, s deployer.Spec, pod string) deployer.Probe {
	address, err := c.proxyURL(s, pod)
	if err != nil {
		return unasked(err.Error())
	}
	return question{client: c.api, url: address, field: s.Health.Field, proxy: true}.ask(ctx)
}

func (c *Cluster) askURL(ctx context.Context, s deployer.Spec) deployer.Probe {
	u, err := url.Parse(s.Health.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return unasked(fmt.Sprintf("%q is not an http or https address", s.Health.URL))
	}
	return question{client: c.open, url: u.String(), field: s.Health.Field}.ask(ctx)
}

// proxyURL is the address of a path within a pod, at the API server. The path
// comes from a repository, so one that climbs out of the pod's is refused: the
// request carries Slipway's credentials.
func (c *Cluster) proxyURL(s deployer.Spec, pod string) (string, error) {
	if s.Health.Port < 1 || s.Health.Port > 65535 {
		return "", fmt.Errorf("%d is not a port", s.Health.Port)
	}
	asked, err := url.Parse(s.Health.Path)
	if err != nil || asked.IsAbs() || asked.Host != "" || !strings.HasPrefix(asked.Path, "/") {
		return "", fmt.Errorf("%q is not a path", s.Health.Path)
	}
	if slices.ContainsFunc(strings.Split(asked.Path, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return "", fmt.Errorf("%q is not a plain path", s.Health.Path)
	}
	target := c.typed.CoreV1().RESTClient().Get().Namespace(s.Namespace).Resource("pods").
		Name(pod + ":" + strconv.Itoa(s.Health.Port)).SubResource("proxy").URL()
	target = target.JoinPath(asked.EscapedPath()) // unlike the client's own, it keeps a last slash
	target.RawQuery = asked.RawQuery
	return target.String(), nil
}

// ask puts the question once.
func (q question) ask(parent context.Context) deployer.Probe {
	ctx, cancel := context.WithTimeout(parent, probePatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url, http.NoBody)
	if err != nil {
		return unasked(err.Error())
	}
	request.Header.Set("Accept", "application/json")
	response, err := q.client.Do(request)
	if err != nil {
		return q.silent(parent, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, probeBody+1))
	if err != nil {
		return q.silent(parent, err)
	}
	return q.read(response, body)
}

// silent is the probe of a question that brought no complete answer.
func (q question) silent(parent context.Context, err error) deployer.Probe {
	if parent.Err() != nil {
		return unasked("the look was broken off")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return unanswered("no answer in " + probePatience.String())
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) { // its text would repeat the address, query and all
		err = wrapped.Err
	}
	if q.proxy {
		return unasked("the API server did not answer: " + head(err.Error(), probeHead))
	}
	return unanswered(head(err.Error(), probeHead))
}

// read makes a probe of a complete answer.
func (q question) read(response *http.Response, body []byte) deployer.Probe {
	if q.proxy && response.StatusCode > 299 {
		if p, own := serverAnswer(response.StatusCode, body); own {
			return p
		}
	}
	p := unanswered("")
	p.Answer = head(string(body), probeHead)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		p.Detail = fmt.Sprintf("answered with status %d", response.StatusCode)
		return p
	}
	if len(body) > probeBody {
		p.Detail = fmt.Sprintf("answered with more than %d KiB", probeBody>>10)
		return p
	}
	revision, err := revisionIn(body, q.field)
	if err != nil {
		p.Detail = err.Error()
		return p
	}
	p.Answered, p.Revision = ref.Yes, revision
	return p
}

// serverAnswer recognises an answer of the API server itself, which is an API
// status: 502 to 504 say that it could not reach the pod; any other that the
// question was not put.
func serverAnswer(code int, body []byte) (deployer.Probe, bool) {
	var status metav1.Status
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" || status.APIVersion != "v1" {
		return deployer.Probe{}, false
	}
	said := head(status.Message, probeHead)
	if code >= http.StatusBadGateway && code <= http.StatusGatewayTimeout {
		return unanswered("the pod could not be reached: " + said), true
	}
	return unasked(fmt.Sprintf("the API server refused with status %d: %s", code, said)), true
}

// revisionIn reads the revision from a field of a JSON object.
func revisionIn(body []byte, field string) (string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return "", errors.New("the answer is not a JSON object")
	}
	raw, ok := object[field]
	if !ok {
		return "", fmt.Errorf("the answer has no field %q", field)
	}
	var revision string
	if err := json.Unmarshal(raw, &revision); err != nil || revision == "" {
		return "", fmt.Errorf("the answer's field %q is not a string with something in it", field)
	}
	return revision, nil
}

func answerAll(pods []deployer.Pod, ready []*deployer.Pod, p deployer.Probe) []deployer.Pod {
	for _, pod := range ready {
		pod.Probe = p
	}
	return pods
}

func unasked(detail string) deployer.Probe {
	return deployer.Probe{Answered: ref.Unknown, Detail: detail, At: time.Now()}
}

func unanswered(detail string) deployer.Probe {
	return deployer.Probe{Answered: ref.No, Detail: detail, At: time.Now()}
}

// sameHost lets an open question be redirected within its own host only.
func sameHost(next *http.Request, before []*http.Request) error {
	first := before[0].URL
	if len(before) > probeRedirects {
		return fmt.Errorf("more than %d redirects", probeRedirects)
	}
	if next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return fmt.Errorf("redirected to another host, %s://%s", next.URL.Scheme, next.URL.Host)
	}
	return nil
}
