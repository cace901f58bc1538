package kube_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"slipway/deployer"
	"slipway/internal/ref"
)

func TestADeclaredURLIsAskedOnceForAllReadyPods(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Error("the question carries credentials")
		}
		fmt.Fprint(w, `{"commit":"abc"}`)
	})
	mux.Handle("/moved", http.RedirectHandler("/healthz", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("http://elsewhere.invalid/healthz", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	for _, test := range []struct {
		name, url string
		answered  ref.Fact
		revision  string
		detail    string
	}{
		{"an answer", server.URL + "/healthz", ref.Yes, "abc", ""},
		{"a redirect within the host", server.URL + "/moved", ref.Yes, "abc", ""},
		{"a redirect to another host is not followed", server.URL + "/away", ref.No, "", "redirected to another host"},
		{"redirects without an end", server.URL + "/round", ref.No, "", "more than 5 redirects"},
		{"nobody there", "http://127.0.0.1:1/healthz", ref.No, "", "connection refused"},
		{"another scheme", "file:///etc/passwd", ref.Unknown, "", "not an http or https address"},
		{"no host", "https:///healthz", ref.Unknown, "", "not an http or https address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := asked.Load()
			s := p.spec()
			s.Health = deployer.Health{URL: test.url, Field: "commit"}
			pods := p.slipway.Probe(t.Context(), s, []deployer.Pod{
				{Name: "app-1", Ready: ref.Yes}, {Name: "app-2", Ready: ref.No}, {Name: "app-3", Ready: ref.Yes},
			})
			if pods[1].Probe != (deployer.Probe{}) {
				t.Errorf("a pod that is not ready was asked: %+v", pods[1].Probe)
			}
			for _, pod := range []deployer.Pod{pods[0], pods[2]} {
				got := pod.Probe
				if got.Answered != test.answered || got.Revision != test.revision || !strings.Contains(got.Detail, test.detail) || got.At.IsZero() {
					t.Errorf("pod %s: %+v", pod.Name, got)
				}
			}
			if n := asked.Load() - before; test.answered == ref.Yes && n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestAQuestionThatCannotBePutIsUnknown(t *testing.T) {
	t.Parallel()
	p := inNamespace(t, fakeNodes(t))
	pods := []deployer.Pod{{Name: "app-1", Ready: ref.Yes}}
	wire := cutLine(t, p.cluster)
	wire.cut()
	ended, end := context.WithCancel(t.Context())
	end()
	for _, test := range []struct {
		name string
		got  []deployer.Pod
		say  string
	}{
		{
			"without the right to it",
			p.account(rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}).Probe(t.Context(), p.spec(), pods),
			"the API server refused with status 403",
		},
		{"of a pod that is gone", p.slipway.Probe(t.Context(), p.spec(), pods), "the API server refused with status 404"},
		{"over a broken line", connect(t, wire.kubeconfig).Probe(t.Context(), p.spec(), pods), "the API server did not answer"},
		{"when there is no time left", p.slipway.Probe(ended, p.spec(), pods), "broken off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.got[0].Probe
			if got.Answered != ref.Unknown || got.At.IsZero() || !strings.Contains(got.Detail, test.say) {
				t.Errorf("probe %+v, want one that says %q", got, test.say)
			}
		})
	}
	if pods[0].Probe != (deployer.Probe{}) {
		t.Error("the caller's pods were written to")
	}
}
