package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/onboard"
	"slipway/pools"
)

// CrewShelf keeps the coordinates' secrets as Secrets of their names.
type CrewShelf struct {
	*Cluster
	Namespace string
}

var _ onboard.Keep = CrewShelf{}

// kept is a secret on its way.
type kept string

// Reveal gives it up.
func (k kept) Reveal() string { return string(k) }

// String and the other printed forms tell nothing.
func (k kept) String() string   { return "[redacted]" }
func (k kept) GoString() string { return k.String() }

// Name is how people are told of it.
func (s CrewShelf) Name() string { return "the namespace " + s.Namespace + " of cluster " + s.name }

// Held reads the Secrets that were made here.
func (s CrewShelf) Held(ctx context.Context) (map[pools.Address]onboard.Secrets, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	list, err := s.typed.CoreV1().Secrets(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: managedLabel + "=" + Manager + "," + poolLabel})
	if err != nil {
		return nil, fmt.Errorf("read the Secrets in cluster %s: %w", s.name, err)
	}
	all := map[pools.Address]onboard.Secrets{}
	for _, secret := range list.Items {
		a, err := pools.ReadAddress(secret.Name)
		if err != nil {
			continue
		}
		var has onboard.Secrets
		if data := secret.Data[workerKey]; len(data) > 0 {
			has.Worker = kept(data)
		}
		if data := secret.Data[forgeKey]; len(data) > 0 {
			has.Forge = kept(data)
		}
		all[a] = has
	}
	return all, nil
}

// Put makes the Secret or replaces what it holds. One of that name which was
// not made here is left alone.
func (s CrewShelf) Put(ctx context.Context, a pools.Address, has onboard.Secrets) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	client := s.typed.CoreV1().Secrets(s.Namespace)
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: a.String(), Namespace: s.Namespace, Labels: labelsOf(a.Pool())},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{workerKey: []byte(has.Worker.Reveal()), forgeKey: []byte(has.Forge.Reveal())},
	}
	is, err := client.Get(ctx, a.String(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = client.Create(ctx, want, writing())
	case err == nil && is.Labels[managedLabel] != Manager:
		return fmt.Errorf("the Secret %s in cluster %s was not made by Slipway: delete it, or label it %s=%s", a, s.name, managedLabel, Manager)
	case err == nil:
		want.ResourceVersion = is.ResourceVersion
		_, err = client.Update(ctx, want, metav1.UpdateOptions{FieldManager: Manager})
	}
	return s.told(a, err)
}

// Clear deletes the Secret.
func (s CrewShelf) Clear(ctx context.Context, a pools.Address) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := s.typed.CoreV1().Secrets(s.Namespace).Delete(ctx, a.String(), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return s.told(a, err)
}

func (s CrewShelf) told(a pools.Address, err error) error {
	if err == nil {
		return nil
	}
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return fmt.Errorf("the Secret %s in cluster %s: %w: %w", a, s.name, onboard.ErrDenied, err)
	}
	return fmt.Errorf("the Secret %s in cluster %s: %w", a, s.name, err)
}
