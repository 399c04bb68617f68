package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun_StateFile_PrintsExports(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, os.WriteFile(file, []byte(`{
		"ca_cert_file": "/tmp/it's a CA.pem",
		"vendors": {
			"trend": {"url": "https://127.0.0.1:1/api", "credentials": {"api_key": "1:abc="}, "login": {"username": "admin"}},
			"fortianalyzer": {"url": "https://127.0.0.1:2", "auth_url": "https://127.0.0.1:3", "credentials": {}}
		}}`), 0o600))
	var out strings.Builder
	require.NoError(t, run([]string{file}, &out))
	require.Equal(t, `export EMULATOR_CA='/tmp/it'\''s a CA.pem'
export FORTIANALYZER_ADDRESS='https://127.0.0.1:2'
export FORTIANALYZER_AUTH_ADDRESS='https://127.0.0.1:3'
export TREND_ADDRESS='https://127.0.0.1:1/api'
export TREND_API_KEY='1:abc='
export TREND_USERNAME='admin'
export TREND_MANAGEMENT_ROLE_ID='3'
`, out.String())
}

func TestRun_MissingOrOtherFile_IsNamed(t *testing.T) {
	require.ErrorContains(t, run(nil, nil), "the only argument is the state file")
	require.ErrorContains(t, run([]string{"nowhere"}, nil), "nowhere")
	require.ErrorContains(t, run([]string{"main_test.go"}, nil), "not the state file")
}
