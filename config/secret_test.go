package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"slipway/config"
)

const value = "correct-horse"

type holder struct {
	Public  config.Secret
	private config.Secret
	pointer *config.Secret
	list    []config.Secret
}

func TestASecretIsNeverPrinted(t *testing.T) {
	s := config.NewSecret(value)
	held := holder{s, s, &s, []config.Secret{s}}
	server := config.Server{
		Tokens: []config.Token{{Secret: s}}, Forges: []config.Forge{{Token: s, WebhookSecret: s}}, Registries: []config.Registry{{Password: s}},
	}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T", "%10s", "%.3s"} {
		for _, x := range []any{s, &s, held, &held, server, &server, []any{s}, map[string]any{"k": held}} {
			printed = append(printed, fmt.Sprintf(verb, x))
		}
	}
	printed = append(printed, s.String(), s.GoString(), fmt.Sprint(s), fmt.Sprintln(held), errors.Join(fmt.Errorf("with %v", s)).Error())
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal, xml.Marshal} {
		for _, x := range []any{s, &s, held, server.Forges[0]} {
			data, err := encode(x)
			if err != nil {
				t.Errorf("encoding %T: %v", x, err)
			}
			printed = append(printed, string(data))
		}
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("start", "secret", s, "pointer", &s, "held", held, "server", server, slog.Group("g", "s", s))
	}
	printed = append(printed, log.String())
	for _, p := range printed {
		if strings.Contains(p, value) || strings.Contains(strings.ToLower(p), fmt.Sprintf("%x", value)) {
			t.Errorf("it is printed in %q", p)
		}
	}
	if !strings.Contains(fmt.Sprintf("%+v", held), "[redacted]") {
		t.Errorf("a secret does not say that it is redacted: %+v", held)
	}
	if s.Reveal() != value {
		t.Errorf("revealed %q, want %q", s.Reveal(), value)
	}
}

func TestSecretMatches(t *testing.T) {
	s := config.NewSecret(value)
	for _, row := range []struct {
		name      string
		secret    config.Secret
		presented string
		want      bool
	}{
		{"the value", s, value, true},
		{"another value", s, "correct-horsf", false},
		{"the start of the value", s, value[:5], false},
		{"nothing", s, "", false},
		{"nothing against no secret", config.Secret{}, "", false},
		{"nothing against an empty secret", config.NewSecret(""), "", false},
	} {
		if got := row.secret.Matches(row.presented); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
	if !(config.Secret{}).IsZero() || s.IsZero() {
		t.Error("IsZero is wrong")
	}
}
