package server

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"slipway/internal/change"
)

// Metrics counts what happens, for Prometheus. It is a reconcile.Meter.
type Metrics struct {
	registry *prometheus.Registry
	looks    *prometheus.HistogramVec
	gates    *prometheus.CounterVec
	overdue  *prometheus.CounterVec
	ended    *prometheus.CounterVec
	hooks    *prometheus.CounterVec
	calls    *prometheus.HistogramVec
	canaries *prometheus.GaugeVec
	alarms   *prometheus.CounterVec
	findings prometheus.Gauge
	work     *WorkMetrics
}

// NewMetrics returns metrics in a registry of their own.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "slipway_" + name, Help: help,
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 15, 60}}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "slipway_" + name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		looks:    histogram("look_seconds", "Looks at keys, by kind of key and kind of failure (empty: none).", "kind", "failure"),
		gates:    counter("gates_total", "Gates that reached a state.", "gate", "state"),
		overdue:  counter("gates_overdue_total", "Gates that went past their deadline.", "gate"),
		ended:    counter("changes_ended_total", "Changes that ended, by outcome.", "outcome"),
		hooks:    counter("webhooks_total", "Webhook deliveries, by forge and what became of them.", "forge", "result"),
		calls:    histogram("forge_call_seconds", "Calls to a forge, by method and status (0: no answer).", "forge", "method", "status"),
		canaries: gauge("canaries", "Canaries of the last round, by what became of them: held, untried, found, escaped.", "repository", "result"),
		alarms:   counter("alarms_total", "What people must look at, by kind: unjudged, landing, emergency, drift, …", "kind"),
		findings: prometheus.NewGauge(prometheus.GaugeOpts{Name: "slipway_findings", Help: "What the last examination found wrong."}),
	}
	m.registry.MustRegister(m.looks, m.gates, m.overdue, m.ended, m.hooks, m.calls, m.canaries, m.alarms, m.findings,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.work = newWorkMetrics(m.registry)
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Looked counts one look.
func (m *Metrics) Looked(kind string, took time.Duration, failure string) {
	m.looks.WithLabelValues(kind, failure).Observe(took.Seconds())
}

// Reached counts a gate's new state.
func (m *Metrics) Reached(g change.GateName, s change.GateState) {
	m.gates.WithLabelValues(string(g), string(s)).Inc()
}

// Overdue counts a missed deadline.
func (m *Metrics) Overdue(g change.GateName) { m.overdue.WithLabelValues(string(g)).Inc() }

// Ended counts an outcome.
func (m *Metrics) Ended(o change.Outcome) { m.ended.WithLabelValues(string(o)).Inc() }

// Hook counts a delivery.
func (m *Metrics) Hook(forge, result string) { m.hooks.WithLabelValues(forge, result).Inc() }

// Called counts a call to a forge.
func (m *Metrics) Called(forge, method, status string, took time.Duration) {
	m.calls.WithLabelValues(forge, method, status).Observe(took.Seconds())
}

// Canaries keeps what became of a round: how many rules held, how many could
// not be tried, how many things were found, and how many canaries would have
// merged.
func (m *Metrics) Canaries(repository string, held, untried, found, escaped int) {
	for result, n := range map[string]int{"held": held, "untried": untried, "found": found, "escaped": escaped} {
		m.canaries.WithLabelValues(repository, result).Set(float64(n))
	}
}

// Alarmed counts something that people must look at.
func (m *Metrics) Alarmed(kind string) { m.alarms.WithLabelValues(kind).Inc() }

// Found keeps how much the last examination found wrong.
func (m *Metrics) Found(n int) { m.findings.Set(float64(n)) }
