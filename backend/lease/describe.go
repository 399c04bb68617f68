package lease

import (
	"slices"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// maxLastError is how many characters of an error the ledger keeps.
const maxLastError = 1500

// CredentialError is an error about a credential that the ledger has recorded. The inventory has its state.
type CredentialError struct {
	// ID is the credential's: credential_id in answers, the inventory, the log and events.
	ID string
	// Err is the cause.
	Err error
}

// Error returns the text of the cause.
func (e *CredentialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CredentialError) Unwrap() error { return e.Err }

// aboutUnlessNothing adds the ID to an error after which the ledger has the credential: one that does not prove that the
// vendor has created nothing.
func aboutUnlessNothing(id string, err error) error {
	if err == nil || provider.ClassOf(err).Definite() {
		return err
	}
	return &CredentialError{ID: id, Err: err}
}

// metadataOf returns the keys and values by which events and log lines name a credential. A vendor that has no field
// for a marker has no marker to look for.
func metadataOf(entry *ledger.Entry) []string {
	metadata := []string{"config", entry.Config, "role", entry.Role, "credential_id", entry.ID}
	if entry.Marker != "" {
		metadata = append(metadata, "marker", entry.Marker)
	}
	return metadata
}

// logOf is metadataOf for the log, with further keys and values.
func logOf(entry *ledger.Entry, further ...any) []any {
	var fields []any
	for _, text := range metadataOf(entry) {
		fields = append(fields, text)
	}
	return slices.Concat(fields, further)
}

// lastError returns what the ledger keeps of an error.
func lastError(err error) string { return provider.PrintableText(err.Error(), maxLastError) }
