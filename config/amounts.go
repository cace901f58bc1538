package config

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"slipway/pools"
)

var sharePattern = regexp.MustCompile(`^(0\.[0-9]{1,9}|1|1\.0)$`)

// money is an amount of at least 0, or above it.
func (r *reader) money(into *pools.Money, above bool) form {
	s := shape{kind: number, most: maxAmount, above: above}
	return form{s, func(n node) {
		if !isNumber(n) {
			r.wrongKind(n, "an amount such as 2.5")
			return
		}
		m, err := pools.ParseMoney(n.Value)
		switch {
		case err != nil:
			r.fault(n, "%v", err)
		case above && m == 0:
			r.fault(n, "is 0; leave it out for no bound")
		case m > maxAmount*1_000_000:
			r.fault(n, "is %s, want at most %d", m, maxAmount)
		default:
			*into = m
		}
	}}
}

// share is a part of a whole, above 0 and up to 1.
func (r *reader) share(into *float64) form {
	return form{shape{kind: number, most: 1, above: true}, func(n node) {
		if !isNumber(n) {
			r.wrongKind(n, "a share such as 0.1")
			return
		}
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || !sharePattern.MatchString(n.Value) || f == 0 {
			r.fault(n, "is %s, want a share above 0 and up to 1, such as 0.1", clip(n.Value))
			return
		}
		*into = f
	}}
}

func isNumber(n node) bool {
	if n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0 {
		return false
	}
	tag := n.ShortTag()
	return tag == "!!int" || tag == "!!float"
}
