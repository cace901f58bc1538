package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/deployer"
	"slipway/internal/fault"
)

func TestRefusalsAreSortedByWhatToDoNext(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	refusal := func(code int32, reason metav1.StatusReason, causes ...metav1.StatusCause) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: code, Reason: reason, Message: "as the server says", Details: &metav1.StatusDetails{Causes: causes},
		}}
	}
	for _, test := range []struct {
		name string
		err  error
		want fault.Kind
		say  string
	}{
		{"a write came in between", refusal(409, metav1.StatusReasonConflict), fault.Changed, "as the server says"},
		{"the object was made again", refusal(422, metav1.StatusReasonInvalid, metav1.StatusCause{Field: "metadata.uid"}), fault.Changed, ""},
		{"the object is not valid so", refusal(422, metav1.StatusReasonInvalid, metav1.StatusCause{Field: "spec.template"}), fault.Permanent, ""},
		{
			"another manager owns the field",
			refusal(409, metav1.StatusReasonConflict, metav1.StatusCause{
				Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.replicas", Message: `conflict with "helm" using apps/v1`,
			}),
			fault.Permanent, `.spec.replicas: conflict with "helm" using apps/v1; it stays as it is until`,
		},
		{"a right is missing", apierrors.NewForbidden(deployments, "app", errors.New("no")), fault.Permanent, "apply manifests/target in namespace acme"},
		{"it is not there", apierrors.NewNotFound(deployments, "app"), fault.Permanent, "not found"},
		{"the request makes no sense", apierrors.NewBadRequest("what?"), fault.Permanent, "what?"},
		{"the token ran out", apierrors.NewUnauthorized("who?"), fault.Later, "who?"},
		{"too many requests", apierrors.NewTooManyRequests("slowly", 1), fault.Later, "slowly"},
		{"the server is in trouble", apierrors.NewInternalError(errors.New("etcd")), fault.Later, "etcd"},
		{"the server is starting", apierrors.NewServiceUnavailable("soon"), fault.Later, "soon"},
		{"the server took too long", apierrors.NewTimeoutError("long", 1), fault.Later, "long"},
		{"nobody answered", context.DeadlineExceeded, fault.Later, "deadline"},
		{"something in between answered", apierrors.NewGenericServerResponse(http.StatusBadGateway, "get", deployments, "app", "", 0, true), fault.Later, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := failed(test.err, "pin", deployer.Spec{Namespace: "acme", Deployment: "app"})
			if got := fault.KindOf(err); got != test.want {
				t.Errorf("kind %v, want %v", got, test.want)
			}
			if !strings.Contains(err.Error(), test.say) || !strings.HasPrefix(err.Error(), "pin of deployment acme/app: ") {
				t.Errorf("%q does not say %q", err, test.say)
			}
		})
	}
}

func TestVersionsAreReadAsTheyWereWritten(t *testing.T) {
	want := version{resource: "1234", generation: 7}
	got, err := parseVersion(want.String())
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", "1234", "/7", "1234/", "1234/x"} {
		if got, err := parseVersion(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
