package config_test

import "errors"

// leastPools is the least that a pool config may say.
const leastPools = `roles: [builder, reviewer]
tiers: [lite, heavy]
currency: USD
assignments:
  careful:
    provider: acme
    model: some-model-2
    prompt: prompts/builder.md
    prices: {input: 3, output: 15}
replicas:
  builder-lite-0: careful
`

// prompted has a prompt in every file but gone.md.
func prompted(file string) ([]byte, error) {
	if file == "gone.md" {
		return nil, errors.New("no such file")
	}
	return []byte("Do it well.\n"), nil
}
