package lease

import "fmt"

// referenceVersion is the schema version of a lease's internal data.
const referenceVersion = 1

// Reference is what a lease keeps of its credential: where its ledger entry is. The handle, which can hold
// the leased secret, stays in the ledger.
type Reference struct {
	// Config, Role and ID find the ledger entry.
	Config, Role, ID string
	// Holder is the lease's part in a shared credential; empty when the lease has a credential of its own.
	Holder string
}

// InternalData returns the reference as Vault stores it with the lease.
func (r Reference) InternalData() map[string]any {
	internal := map[string]any{"version": referenceVersion, "config": r.Config, "role": r.Role, "id": r.ID}
	if r.Holder != "" {
		internal["holder"] = r.Holder
	}
	return internal
}

// ParseReference reads the internal data of a lease.
func ParseReference(internal map[string]any) (Reference, error) {
	var reference Reference
	for field, target := range map[string]*string{"config": &reference.Config, "role": &reference.Role, "id": &reference.ID} {
		value, ok := internal[field].(string)
		if !ok || value == "" {
			return reference, fmt.Errorf("the lease's internal data lacks %q", field)
		}
		*target = value
	}
	reference.Holder, _ = internal["holder"].(string)
	return reference, nil
}
