package kube

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/deployer"
	"slipway/internal/fault"
)

// rivalMend says what ends a quarrel over a field.
const rivalMend = "it stays as it is until that manager lets go of the field, or Slipway takes it over again"

// failed wraps an API server's refusal with what was tried and sorts it: a lost
// precondition is Changed, what another request would meet as well is Permanent,
// and everything else (no answer, 429, 5xx, an expired token) stays Later.
func failed(err error, doing string, s deployer.Spec) error {
	wrapped := fmt.Errorf("%s of %s: %w", doing, named(s), err)
	switch {
	case rivals(err) != "":
		return fault.AsPermanent(fmt.Errorf("%s of %s: %s; %s", doing, named(s), rivals(err), rivalMend))
	case apierrors.IsConflict(err), anotherObject(err):
		return fault.AsChanged(wrapped)
	case apierrors.IsForbidden(err):
		return fault.AsPermanent(fmt.Errorf("%w; %s", wrapped, rightsMend(s.Namespace)))
	case apierrors.IsNotFound(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err),
		apierrors.IsMethodNotSupported(err), apierrors.IsRequestEntityTooLargeError(err):
		return fault.AsPermanent(wrapped)
	default:
		return wrapped
	}
}

// rivals names the fields that others own, and the owners, when that is why a
// server-side apply was refused; otherwise it is empty.
func rivals(err error) string {
	var said []string
	for _, cause := range causes(err) {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			said = append(said, cause.Field+": "+cause.Message)
		}
	}
	return strings.Join(said, "; ")
}

// anotherObject says that the object was deleted and made again: an apply with
// the old UID is refused as a change of what cannot change.
func anotherObject(err error) bool {
	return apierrors.IsInvalid(err) && slices.ContainsFunc(causes(err), func(c metav1.StatusCause) bool {
		return c.Field == "metadata.uid"
	})
}

func causes(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	return status.Status().Details.Causes
}

// rightsMend says how a missing right is given.
func rightsMend(namespace string) string {
	return "apply manifests/target in namespace " + namespace + " to grant it"
}
