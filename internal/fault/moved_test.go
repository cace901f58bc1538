package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"slipway/internal/fault"
)

func TestANewNameIsToldThroughTheLayersAboveIt(t *testing.T) {
	bare := errors.New("301")
	for name, test := range map[string]struct {
		err error
		to  string
	}{
		"told":               {fault.Moved(bare, "acme/app2"), "acme/app2"},
		"told, within":       {fmt.Errorf("read: %w", fault.Moved(bare, "acme/app2")), "acme/app2"},
		"final, and no name": {fault.AsPermanent(bare), ""},
		"unsorted":           {bare, ""},
		"none":               {fault.Moved(nil, "acme/app2"), ""},
	} {
		to, ok := fault.MovedTo(test.err)
		if to != test.to || ok != (test.to != "") {
			t.Errorf("%s: %q, %v", name, to, ok)
		}
	}
	if fault.KindOf(fault.Moved(bare, "x")) != fault.Permanent {
		t.Error("it is not final")
	}
}
