package rotation

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// passwordBytes is how many random bytes a password without a policy has. The password has 32 characters then.
const passwordBytes = 21

// CheckPasswordPolicy makes a password, as the next rotation over this connection would, and drops it. The error is
// ClassInvalid and names the field if the config names a password policy that Vault does not have. It makes no call of
// the vendor.
func (r *Rotator) CheckPasswordPolicy(ctx context.Context, conn provider.Connection) error {
	rotator, ok := conn.(provider.RootRotator)
	if !ok {
		return nil
	}
	_, err := rotator.ProposeRoot(func(policy string) (string, error) { return r.newPassword(ctx, policy) })
	return err
}

// newPassword makes a password by one of Vault's password policies, or a strong one without a policy.
func (r *Rotator) newPassword(ctx context.Context, policy string) (string, error) {
	if policy == "" {
		random := make([]byte, passwordBytes)
		if _, err := io.ReadFull(r.Random, random); err != nil {
			return "", fmt.Errorf("making a password: %w", err)
		}
		// The first characters are of the four kinds that password rules commonly ask for, as in Vault's
		// database engine.
		return "A1a-" + base64.RawURLEncoding.EncodeToString(random), nil
	}
	password, err := r.Passwords().GeneratePasswordFromPolicy(ctx, policy)
	if err != nil {
		return "", provider.InvalidField("password_policy", "%q: %s", policy, err)
	}
	return password, nil
}
