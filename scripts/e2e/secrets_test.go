package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"
)

// publicFields are members of the emulators' root credentials that are no secrets.
var publicFields = map[string]bool{"username": true, "key_id": true, "client_id": true}

// scanForSecrets searches everything that the run has left for the root secrets of all vendors: each
// line that Vault, the plugin and the emulator logged, each answer that a test got, and each lease as
// Vault stores it.
func scanForSecrets() error {
	places := map[string][]byte{}
	for _, node := range server.Nodes() {
		log, err := os.ReadFile(node.LogPath())
		if err != nil {
			return err
		}
		if !bytes.Contains(log, []byte("secrets-vendorauth")) {
			return fmt.Errorf("the plugin logged nothing to %s: the search would prove nothing", node.LogPath())
		}
		places["Vault's log "+node.LogPath()] = log
	}
	log, err := os.ReadFile(server.EmulatorLog())
	if err != nil {
		return err
	}
	places["the emulator's log"] = log
	responses.mu.Lock()
	places[fmt.Sprintf("%d answers of Vault", responses.count)] = bytes.Clone(responses.bodies.Bytes())
	responses.mu.Unlock()

	leases, err := storedLeases(context.Background(), server.Client())
	if err != nil {
		return fmt.Errorf("reading the stored leases: %w", err)
	}
	keptLeases.mu.Lock()
	leases = append(leases, keptLeases.records...)
	keptLeases.mu.Unlock()
	if len(leases) == 0 {
		return errors.New("no lease was stored: the search would prove nothing")
	}
	places[fmt.Sprintf("%d stored leases", len(leases))] = []byte(strings.Join(leases, "\n"))

	var found []error
	secrets := 0
	for vendor, state := range server.Emulator().Vendors {
		for _, credentials := range []map[string]string{state.Credentials, state.Login} {
			for field, secret := range credentials {
				if publicFields[field] || secret == "" {
					continue
				}
				secrets++
				for place, content := range places {
					if bytes.Contains(content, []byte(secret)) {
						found = append(found, fmt.Errorf("%s of %s stands in %s", field, vendor, place))
					}
				}
			}
		}
	}
	madeSecrets.mu.Lock()
	defer madeSecrets.mu.Unlock()
	for _, secret := range madeSecrets.secrets {
		secrets++
		for place, content := range places {
			if bytes.Contains(content, []byte(secret)) {
				found = append(found, fmt.Errorf("a root secret that a rotation made stands in %s", place))
			}
		}
	}
	if len(found) == 0 {
		fmt.Fprintf(os.Stderr, "e2e: none of %d root secrets in %d places\n", secrets, len(places))
		for place, content := range places {
			fmt.Fprintf(os.Stderr, "e2e:   %s, %d bytes\n", place, len(content))
		}
	}
	return errors.Join(found...)
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
