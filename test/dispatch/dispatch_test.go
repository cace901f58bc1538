//go:build linux

package dispatch_test

import (
	"path/filepath"
	"testing"
	"time"

	"slipway/test/servers/postgres"
)

// TestCrowdOnSQLite holds W2 and W3 on one server: no item is lost, no two
// leases are live on one item, no stale token is obeyed, and leases come back in
// their time, whoever is killed or stalled.
func TestCrowdOnSQLite(t *testing.T) {
	for range max(1, soak(t)) {
		ordeal(t, filepath.Join(t.TempDir(), "slipway.db"), sized(t, 1))
	}
}

// TestCrowdOnPostgres holds the same on several servers of one database.
func TestCrowdOnPostgres(t *testing.T) {
	server := postgres.ForTest(t)
	for range max(1, soak(t)) {
		dsn, err := server.Place(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ordeal(t, "postgres:"+dsn, sized(t, 3))
	}
}

// sized is how large an ordeal is: small where everything is tested, and with
// 200 workers where there is time for it.
func sized(t *testing.T, servers int) size {
	if soak(t) > 0 {
		return size{servers: servers, workers: 200, items: 600, chaos: 30 * time.Second, lease: 4 * time.Second}
	}
	return size{servers: servers, workers: 32, items: 48, chaos: 4 * time.Second, lease: 3 * time.Second}
}
