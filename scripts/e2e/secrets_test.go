package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// scanForSecrets searches the logs, the recorded answers and the stored leases of the run for the root secrets of all
// vendors.
func scanForSecrets() error {
	places, err := searchedPlaces()
	if err != nil {
		return err
	}
	secrets := rootSecrets()
	var found []error
	for _, secret := range secrets {
		for place, content := range places {
			if bytes.Contains(content, []byte(secret.value)) {
				found = append(found, fmt.Errorf("%s is in %s", secret.name, place))
			}
		}
	}
	if len(found) == 0 {
		fmt.Fprintf(os.Stderr, "e2e: none of %d root secrets is in any of %d places\n", len(secrets), len(places))
		for place, content := range places {
			fmt.Fprintf(os.Stderr, "e2e:   %s, %d bytes\n", place, len(content))
		}
	}
	return errors.Join(found...)
}

// searchedPlaces returns everything in which no secret may be: each line that Vault, the plugin and the emulator have
// logged, each answer to a test, and each lease as Vault stores it.
func searchedPlaces() (map[string][]byte, error) {
	places := map[string][]byte{}
	for _, node := range server.Nodes() {
		log, err := os.ReadFile(node.LogPath())
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(log, []byte("secrets-vendorauth")) {
			return nil, fmt.Errorf("the plugin logged nothing to %s: the search would prove nothing", node.LogPath())
		}
		places["Vault's log "+node.LogPath()] = log
	}
	log, err := os.ReadFile(server.EmulatorLog())
	if err != nil {
		return nil, err
	}
	places["the emulator's log"] = log
	responses.mu.Lock()
	places[fmt.Sprintf("%d answers of Vault", responses.count)] = bytes.Clone(responses.bodies.Bytes())
	responses.mu.Unlock()

	leases, err := storedLeases(context.Background(), server.Client())
	if err != nil {
		return nil, fmt.Errorf("read the stored leases: %w", err)
	}
	keptLeases.mu.Lock()
	leases = append(leases, keptLeases.records...)
	keptLeases.mu.Unlock()
	if len(leases) == 0 {
		return nil, errors.New("no lease was stored: the search would prove nothing")
	}
	places[fmt.Sprintf("%d stored leases", len(leases))] = []byte(strings.Join(leases, "\n"))
	return places, nil
}

// namedSecret is a secret with a description that may be printed.
type namedSecret struct{ name, value string }

// rootSecrets returns the secrets of the root credentials and logins in the state files of the emulators, and those that
// rotations created.
func rootSecrets() []namedSecret {
	var secrets []namedSecret
	for _, emulated := range append([]devserver.State{server.Emulator()}, proberStates...) {
		for vendor, state := range emulated.Vendors {
			for _, credentials := range []map[string]string{state.Credentials, state.Login} {
				for field, secret := range credentials {
					if vendorfacts.SecretField(field) && secret != "" {
						secrets = append(secrets, namedSecret{field + " of " + vendor, secret})
					}
				}
			}
		}
	}
	rotatedSecrets.mu.Lock()
	defer rotatedSecrets.mu.Unlock()
	for _, secret := range rotatedSecrets.secrets {
		secrets = append(secrets, namedSecret{"a root secret that a rotation created", secret})
	}
	return secrets
}

// storedLeases reads the leases as Vault stores them, decrypted, through sys/raw.
func storedLeases(ctx context.Context, client *api.Client) ([]string, error) {
	var leases []string
	var walk func(path string) error
	walk = func(path string) error {
		listed, err := client.Logical().ListWithContext(ctx, "sys/raw/"+path)
		if err != nil || listed == nil {
			return err
		}
		keys, _ := listed.Data["keys"].([]any)
		for _, key := range keys {
			name, _ := key.(string)
			if strings.HasSuffix(name, "/") {
				if err := walk(path + name); err != nil {
					return err
				}
				continue
			}
			raw, err := client.Logical().ReadWithContext(ctx, "sys/raw/"+path+name)
			if err != nil {
				return err
			}
			if raw != nil {
				value, _ := raw.Data["value"].(string)
				leases = append(leases, value)
			}
		}
		return nil
	}
	return leases, walk("sys/expire/id/")
}
