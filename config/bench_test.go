package config_test

import (
	"strings"
	"testing"

	"slipway/config"
)

// BenchmarkParsePolicy reads the least policy and the document's fullest.
func BenchmarkParsePolicy(b *testing.B) {
	full := ""
	for _, e := range examples(b) {
		if strings.HasPrefix(e.text, "# .slipway.yaml") {
			full = e.text
		}
	}
	for name, text := range map[string]string{"least": minimal, "full": full} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, faults := config.ParsePolicy(config.PolicyFile, []byte(text)); len(faults) > 0 {
					b.Fatal(faults)
				}
			}
		})
	}
}
