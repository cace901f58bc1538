package gitea

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os/user"
	"strings"
)

// section is one section of app.ini: its name and its lines.
type section struct {
	name  string
	lines []string
}

// settings writes the server's app.ini. Whatever would leave the machine, or
// slow a test without changing what is tested, is off.
func (s *Server) settings() (string, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return "", err
	}
	me, err := user.Current()
	if err != nil {
		return "", err
	}
	sections := []section{
		{"", []string{
			"APP_NAME = Slipway's forge",
			"RUN_MODE = prod",
			"RUN_USER = " + me.Username,
			"WORK_PATH = " + s.config.Dir,
			"I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true",
		}},
		{"server", []string{
			"PROTOCOL = http",
			"HTTP_ADDR = " + host,
			"HTTP_PORT = " + port,
			"DOMAIN = " + host,
			"ROOT_URL = " + s.URL() + "/",
			"STATIC_ROOT_PATH = " + s.config.Binaries.Static,
			"DISABLE_SSH = true",
			"OFFLINE_MODE = true",
			"GRACEFUL_HAMMER_TIME = 5s",
		}},
		{"database", []string{
			"DB_TYPE = sqlite3",
			"PATH = " + s.path("data/gitea.db"),
			"SQLITE_JOURNAL_MODE = WAL",
		}},
		{"security", []string{
			"INSTALL_LOCK = true",
			"SECRET_KEY = " + secret(),
			"INTERNAL_TOKEN = " + secret(),
			"MIN_PASSWORD_LENGTH = 8",
			"ALLOWED_HOST_LIST = loopback",
			// The cheapest hash: these passwords protect nothing and are asked for often.
			"PASSWORD_HASH_ALGO = pbkdf2$1$50",
		}},
		{"oauth2", []string{"JWT_SECRET = " + secret()}},
		{"webhook", []string{"DELIVER_TIMEOUT = 5"}},
		{"service", []string{
			"DISABLE_REGISTRATION = true",
			"ENABLE_NOTIFY_MAIL = false",
		}},
		{"repository", []string{
			"DEFAULT_BRANCH = main",
			"ENABLE_PUSH_CREATE_USER = false",
			"DISABLE_STARS = true",
		}},
		{"packages", []string{"ENABLED = true"}},
		{"actions", []string{
			"ENABLED = true",
			"DEFAULT_ACTIONS_URL = self",
		}},
		{"indexer", []string{"ISSUE_INDEXER_TYPE = db"}},
		{"session", []string{"PROVIDER = memory"}},
		{"cron.update_checker", []string{"ENABLED = false"}},
		{"cron.check_repo_stats", []string{"RUN_AT_START = false"}},
		{"log", []string{
			"MODE = console",
			"LEVEL = Warn",
		}},
	}
	if s.config.Tuned {
		sections = append(sections, section{"queue", []string{
			"TYPE = channel",
			"BATCH_LENGTH = 1",
		}})
	}
	var ini strings.Builder
	for _, part := range sections {
		if part.name != "" {
			fmt.Fprintf(&ini, "\n[%s]\n", part.name)
		}
		for _, line := range part.lines {
			ini.WriteString(line + "\n")
		}
	}
	return ini.String(), nil
}

// secret returns 32 random bytes in the encoding that Gitea takes its keys in.
func secret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.RawURLEncoding.EncodeToString(key)
}
