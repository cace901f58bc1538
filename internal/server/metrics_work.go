package server

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/dispatcher"
	"slipway/pools"
)

// mostLanes is how many lanes are told apart: whoever submits names them.
const (
	mostLanes = 50
	otherLane = "other"
)

// WorkMetrics counts what happens to work. It is a dispatcher.Meter.
type WorkMetrics struct {
	claims   *prometheus.HistogramVec
	attempts *prometheus.CounterVec
	dead     *prometheus.CounterVec
	differed *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
	faults   prometheus.Gauge
}

func newWorkMetrics(registry *prometheus.Registry) *WorkMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_" + name, Help: help}, labels)
	}
	m := &WorkMetrics{
		claims: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_work_claim_wait_seconds", Help: "From when an item could be had and a coordinate had asked to the claim.",
			Buckets: []float64{.005, .01, .02, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"pool"}),
		attempts: counter("work_attempts_ended_total", "Attempts that ended, by pool and outcome.", "pool", "outcome"),
		dead:     counter("work_items_dead_total", "Items that were given up, by kind.", "kind"),
		differed: counter("work_model_differed_total", "Attempts whose command reported another model than the assigned one.", "pool"),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_work_items_waiting", Help: "Items that wait for a coordinate, by lane.",
		}, []string{"lane"}),
		faults: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "slipway_pool_config_faults", Help: "Faults of the pool config's file; while it has any it changes nothing.",
		}),
	}
	registry.MustRegister(m.claims, m.attempts, m.dead, m.differed, m.waiting, m.faults)
	return m
}

// Work is the part that counts work.
func (m *Metrics) Work() *WorkMetrics { return m.work }

// Claimed counts a claim, by how long it waited for.
func (m *WorkMetrics) Claimed(pool pools.PoolName, waited time.Duration) {
	m.claims.WithLabelValues(pool.String()).Observe(waited.Seconds())
}

// Ended counts the end of an attempt.
func (m *WorkMetrics) Ended(pool pools.PoolName, o dispatcher.Outcome) {
	m.attempts.WithLabelValues(pool.String(), string(o)).Inc()
}

// Dead counts an item that was given up.
func (m *WorkMetrics) Dead(k dispatcher.Kind) { m.dead.WithLabelValues(string(k)).Inc() }

// Differed counts an attempt that ran another model than was assigned.
func (m *WorkMetrics) Differed(pool pools.PoolName) { m.differed.WithLabelValues(pool.String()).Inc() }

// Waiting keeps how many items wait in each lane, and in all that are too many
// to name.
func (m *WorkMetrics) Waiting(depth map[string]int) {
	lanes := make([]string, 0, len(depth))
	for lane := range depth {
		lanes = append(lanes, lane)
	}
	slices.SortFunc(lanes, func(a, b string) int { return depth[b] - depth[a] })
	m.waiting.Reset()
	for i, lane := range lanes {
		if i >= mostLanes {
			m.waiting.WithLabelValues(otherLane).Add(float64(depth[lane]))
			continue
		}
		m.waiting.WithLabelValues(lane).Set(float64(depth[lane]))
	}
}

// PoolFaults keeps how many faults the pool config's file has.
func (m *WorkMetrics) PoolFaults(n int) { m.faults.Set(float64(n)) }
