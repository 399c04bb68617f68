package providertest

import (
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests and fails when a goroutine outlives them. Call it from TestMain.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Started by an init function below Vault's SDK; it lives as long as the process.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}
