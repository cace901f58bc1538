package worker

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

const (
	// outputLimit is how much of the end of what the command prints is kept.
	outputLimit = 64 << 10
	// secretLimit is the length of the longest secret that is found when the
	// output was cut within it.
	secretLimit = 4 << 10
	// reasonLimit is how much of the output goes into a failure's reason.
	reasonLimit = 4 << 10
	redacted    = "[redacted]"
)

// mask takes the worker's secrets out of a text, as they stand and as they
// travel.
func (w *Worker) mask(text string) string {
	var pairs []string
	for _, s := range w.Secrets() {
		if len(s) < 4 {
			continue // a text would lose its meaning, and such a secret is none
		}
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(w.Address.String() + ":" + s)),
			base64.StdEncoding.EncodeToString([]byte(s)), url.QueryEscape(s)} {
			pairs = append(pairs, form, redacted)
		}
	}
	if pairs == nil {
		return text
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// printed is the end of the command's output as text without secrets.
func (w *Worker) printed(t *tail) string {
	text := w.mask(strings.ToValidUTF8(string(t.bytes()), "\uFFFD"))
	if over := len(text) - outputLimit; over > 0 {
		text = strings.ToValidUTF8(text[over:], "")
	}
	return plain(text)
}

// plain drops control characters, so that a terminal shows the text and obeys
// none of it.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// lastOf is the end of a text, from the start of a line.
func lastOf(text string, limit int) string {
	text = strings.TrimSpace(text)
	if len(text) <= limit {
		return text
	}
	text = strings.ToValidUTF8(text[len(text)-limit:], "")
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		text = rest
	}
	return "… " + text
}

// line is a text as one line of at most so many characters.
func line(text string, limit int) string {
	runes := []rune(strings.Join(strings.Fields(plain(strings.ToValidUTF8(text, "\uFFFD"))), " "))
	if len(runes) > limit {
		runes = append(slices.Clone(runes[:limit-1]), '…')
	}
	return string(runes)
}

// tail keeps the end of what is written.
type tail struct {
	text []byte
}

// Write never fails, so that the command never stops for its output.
func (t *tail) Write(p []byte) (int, error) {
	const keep = outputLimit + secretLimit
	n := len(p)
	if n > keep {
		p = p[n-keep:]
	}
	t.text = append(t.text, p...)
	if len(t.text) > 2*keep { // seldom enough that a flood costs little
		t.text = append(t.text[:0], t.text[len(t.text)-keep:]...)
	}
	return n, nil
}

func (t *tail) bytes() []byte {
	const keep = outputLimit + secretLimit
	if over := len(t.text) - keep; over > 0 {
		return t.text[over:]
	}
	return t.text
}
