package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"slipway/pools"
)

const (
	// maxPrompt is how large one prompt may be, in bytes, and maxPrompts all of
	// them together.
	maxPrompt  = 256 << 10
	maxPrompts = 4 << 20
)

// promptRead is a prompt, or what is wrong with its file.
type promptRead struct {
	pools.Prompt
	wrong string
}

// promptFile is the path of a prompt, whose text is read.
func (r *poolsReader) promptFile(into *pools.Prompt) form {
	var file string
	return r.text(&file, that(notSecret), that(inFolder)).then(func(n node) {
		if file == "" || r.prompt == nil {
			return
		}
		p, known := r.prompts[file]
		if !known {
			p = r.readPrompt(file)
			r.prompts[file] = p
		}
		if p.wrong != "" {
			r.fault(n, "%s", p.wrong)
			return
		}
		*into = p.Prompt
	})
}

func (r *poolsReader) readPrompt(file string) promptRead {
	data, err := r.prompt(file)
	r.size += len(data)
	switch {
	case err != nil:
		return promptRead{wrong: fmt.Sprintf("%s cannot be read: %s; want a file in the folder of the pool config", file, why(err))}
	case len(data) > maxPrompt:
		return promptRead{wrong: fmt.Sprintf("%s is larger than %d bytes", file, maxPrompt)}
	case r.size > maxPrompts:
		return promptRead{wrong: fmt.Sprintf("%s is too much: all prompts together are larger than %d bytes", file, maxPrompts)}
	case !utf8.Valid(data) || slices.Contains(data, 0):
		return promptRead{wrong: file + " is not text in UTF-8"}
	case strings.TrimSpace(string(data)) == "":
		return promptRead{wrong: file + " is empty"}
	}
	sum := sha256.Sum256(data)
	return promptRead{Prompt: pools.Prompt{File: file, Hash: hex.EncodeToString(sum[:]), Text: string(data)}}
}

// inFolder accepts a path in the folder, written in the one plain way.
func inFolder(s string) string {
	switch {
	case path.IsAbs(s) || strings.Contains(s, `\`) || slices.Contains(strings.Split(s, "/"), ".."):
		return fmt.Sprintf("%q must be a path in the folder of this file", clip(s))
	case path.Clean(s) != s || s == ".":
		return fmt.Sprintf("%q is no plain path of a file, such as prompts/builder.md", clip(s))
	}
	return ""
}

// promptsOf reads files of a folder. A link that leads out of it is not
// followed, and nothing but a regular file is opened.
func promptsOf(folder string) func(string) ([]byte, error) {
	return func(file string) ([]byte, error) {
		root, err := os.OpenRoot(folder)
		if err != nil {
			return nil, err
		}
		defer func() { _ = root.Close() }() // nothing was written
		info, err := root.Stat(file)
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("it is no regular file")
		}
		f, err := root.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // nothing was written
		return io.ReadAll(io.LimitReader(f, maxPrompt+1))
	}
}
