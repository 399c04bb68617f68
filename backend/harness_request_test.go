package backend

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// request sends a request and returns the response and status of Vault's HTTP layer.
func (m *mount) request(operation logical.Operation, path string, data map[string]any) (*logical.Response, int, error) {
	m.t.Helper()
	return m.requestOn(m.storage, operation, path, data)
}

// requestOn is request on another storage.
func (m *mount) requestOn(storage logical.Storage, operation logical.Operation, path string, data map[string]any) (*logical.Response, int, error) {
	m.t.Helper()
	return m.handle(m.t.Context(), &logical.Request{Operation: operation, Path: path, Data: data, Storage: storage})
}

// handle sends a request as Vault's router does, and requires that the answer holds no root secret.
func (m *mount) handle(ctx context.Context, req *logical.Request) (*logical.Response, int, error) {
	m.t.Helper()
	req.MountPoint, req.ID, req.ClientToken = "vendorauth/", "test-request", "test"
	if req.Operation == logical.UpdateOperation {
		found, exists, err := m.backend.HandleExistenceCheck(ctx, req)
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) { // Vault ignores it: the request returns it again
			return nil, http.StatusInternalServerError, err
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	response, err := plainBody(m.backend.HandleRequest(ctx, req))
	m.backend.pool.AwaitLogouts(ctx) // a request does not wait for the logout of a connection that it releases last
	encoded, encodeErr := json.Marshal(response)
	require.NoError(m.t, encodeErr)
	for _, secret := range m.secrets() {
		require.NotContains(m.t, string(encoded), secret, "a root secret in a response")
		if err != nil {
			require.NotContains(m.t, err.Error(), secret, "a root secret in an error")
		}
	}
	if err == nil {
		m.requireDeclared(req, response)
	}
	status, respErr := logical.RespondErrorCommon(req, response, err)
	logical.AdjustErrorStatusCode(&status, err)
	if status == 0 {
		status = http.StatusOK
	}
	if err == nil && respErr != nil {
		err = respErr
	}
	return response, status, err
}

// plainBody returns an error that the backend has answered as a body as the error that an API client sees.
func plainBody(response *logical.Response, err error) (*logical.Response, error) {
	if err != nil || response == nil {
		return response, err
	}
	status, _ := response.Data[logical.HTTPStatusCode].(int)
	if status < http.StatusBadRequest {
		return response, nil
	}
	var body struct{ Errors []string }
	if err := json.Unmarshal(response.Data[logical.HTTPRawBody].([]byte), &body); err != nil {
		return nil, err
	}
	return nil, logical.CodedError(status, strings.Join(body.Errors, "; "))
}

// must sends a request that has to succeed.
func (m *mount) must(operation logical.Operation, path string, data map[string]any) *logical.Response {
	m.t.Helper()
	response, status, err := m.request(operation, path, data)
	require.NoError(m.t, err, "%s %s", operation, path)
	require.Less(m.t, status, 300, "%s %s", operation, path)
	return response
}

// rejected sends a request that has to fail with this status and with an error that contains the texts. It returns the
// error's text.
func (m *mount) rejected(status int, operation logical.Operation, path string, data map[string]any, texts ...string) string {
	m.t.Helper()
	_, got, err := m.request(operation, path, data)
	require.Error(m.t, err, "%s %s", operation, path)
	require.Equal(m.t, status, got, "%s %s: %v", operation, path, err)
	for _, text := range texts {
		require.ErrorContains(m.t, err, text, "%s %s", operation, path)
	}
	return err.Error()
}

// vaultLease is a lease as Vault stores it.
type vaultLease struct {
	secret *logical.Secret
	data   map[string]any
}

// read reads creds/<role>, which has to succeed.
func (m *mount) read(role string) *vaultLease {
	m.t.Helper()
	return m.leaseOf(m.must(logical.ReadOperation, "creds/"+role, nil))
}

// tryRead is read for a request that may fail, for use in a goroutine.
func (m *mount) tryRead(role string) (*vaultLease, error) {
	m.t.Helper()
	response, _, err := m.request(logical.ReadOperation, "creds/"+role, nil)
	if err != nil {
		return nil, err
	}
	return m.leaseOf(response), nil
}

// readAndRevoke reads creds/<role> and revokes the lease.
func (m *mount) readAndRevoke(role string) error {
	m.t.Helper()
	leased, err := m.tryRead(role)
	if err != nil {
		return err
	}
	return m.revoke(leased)
}

// inBackground runs a request in a goroutine. The channel receives its result.
func inBackground(run func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	return done
}

// leaseOf stores a lease as Vault does: encoded as JSON, with its issue time.
func (m *mount) leaseOf(response *logical.Response) *vaultLease {
	m.t.Helper()
	require.NotNil(m.t, response.Secret)
	encoded, err := json.Marshal(response.Secret.InternalData)
	require.NoError(m.t, err)
	secret := *response.Secret
	secret.InternalData = nil
	require.NoError(m.t, json.Unmarshal(encoded, &secret.InternalData))
	secret.IssueTime = m.clock.Now()
	return &vaultLease{secret: &secret, data: response.Data}
}

func (m *mount) renew(l *vaultLease, increment time.Duration) (*logical.Response, error) {
	m.t.Helper()
	return m.renewOn(m.storage, l, increment)
}

// renewOn is renew on another storage.
func (m *mount) renewOn(storage logical.Storage, l *vaultLease, increment time.Duration) (*logical.Response, error) {
	m.t.Helper()
	secret := *l.secret
	secret.Increment = increment
	response, _, err := m.handle(m.t.Context(), &logical.Request{
		Operation: logical.RenewOperation, Secret: &secret, Storage: storage,
	})
	return response, err
}

func (m *mount) revoke(l *vaultLease) error {
	m.t.Helper()
	return m.revokeOn(m.storage, l)
}

// revokeOn is revoke on another storage.
func (m *mount) revokeOn(storage logical.Storage, l *vaultLease) error {
	m.t.Helper()
	_, _, err := m.handle(m.t.Context(), &logical.Request{Operation: logical.RevokeOperation, Secret: l.secret, Storage: storage})
	return err
}

// runPeriodicAfter advances the clock first.
func (m *mount) runPeriodicAfter(d time.Duration) {
	m.t.Helper()
	m.clock.Advance(d)
	m.runPeriodic()
}

// runPeriodic sends Vault's periodic request and waits until the worker has done the work.
func (m *mount) runPeriodic() {
	m.t.Helper()
	_, err := m.backend.HandleRequest(m.t.Context(), &logical.Request{Operation: logical.RollbackOperation, Storage: m.storage})
	if err != nil && !errors.Is(err, logical.ErrUnsupportedOperation) {
		require.NoError(m.t, err)
	}
	m.backend.runningWorker().Flush(m.t.Context())
}
