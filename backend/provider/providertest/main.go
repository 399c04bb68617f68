package providertest

import (
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests and fails if a goroutine is still running afterwards. Call it from TestMain.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A dependency of Vault's SDK starts it in an init function, and it runs until the process ends.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}
