// Command watcher shows how a Go program keeps a working credential of a vendor: it renews the lease while
// that helps, and reads another credential before the lease ends or when a renewal fails. It works for every
// vendor, renewable or not.
//
//	VAULT_ADDR=… VAULT_TOKEN=… watcher -creds vendorauth/creds/ROLE -file credential.json
//
// The example puts the credential into a file; an application hands it to its own client of the vendor.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// firstPause and lastPause bound the growing pause after a failure.
	firstPause = time.Second
	lastPause  = time.Minute

	// revokeTimeout bounds what is done after the program was told to stop.
	revokeTimeout = 10 * time.Second
)

func main() {
	creds := flag.String("creds", "vendorauth/creds/dsm-auditor", "`path` to read credentials from")
	file := flag.String("file", "credential.json", "`file` to keep the credential in")
	flag.Parse()

	client, err := api.NewClient(api.DefaultConfig()) // takes VAULT_ADDR and VAULT_TOKEN from the environment
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	keep(ctx, client, *creds, func(credential map[string]any) error { return store(*file, credential) })
}

// keep hands a working credential to use, and another one before that ends, until ctx is done.
func keep(ctx context.Context, client *api.Client, path string, use func(credential map[string]any) error) {
	pause := firstPause
	for ctx.Err() == nil {
		secret, err := client.Logical().ReadWithContext(ctx, path)
		if err == nil && secret == nil {
			err = errors.New("there is nothing at " + path)
		}
		if err == nil {
			err = use(secret.Data)
		}
		if err == nil {
			log.Printf("new credential for %d s, renewable: %t", secret.LeaseDuration, secret.Renewable)
			// A lease that is not revoked here lives to its end, for those who are still at work with it.
			var lived bool
			if lived, err = watch(ctx, client, secret); lived {
				pause = firstPause
			}
			if ctx.Err() != nil {
				revoke(client, secret.LeaseID)
			}
		}
		if err == nil {
			continue
		}
		// Without a pause, a vendor that issues credentials and fails to renew them would be flooded.
		log.Printf("trying again in %s: %s", pause, err)
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		case <-ctx.Done():
		}
	}
}

// watch renews a lease until it is time for another credential. lived tells whether it lasted, or was
// renewed at least once.
func watch(ctx context.Context, client *api.Client, secret *api.Secret) (lived bool, err error) {
	behavior := api.RenewBehaviorRenewDisabled // then the watcher just tells when the lease is nearly over
	if secret.Renewable {
		// A renewal fails, among other reasons, when the credential has died at the vendor: no use in
		// waiting for the end of the lease.
		behavior = api.RenewBehaviorErrorOnErrors
	}
	watcher, err := client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret, RenewBehavior: behavior})
	if err != nil {
		return false, err
	}
	go watcher.Start()
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return true, nil
		case renewed := <-watcher.RenewCh():
			lived = true
			log.Printf("renewed for %d s", renewed.Secret.LeaseDuration)
		case err := <-watcher.DoneCh():
			return lived || err == nil, err
		}
	}
}

// revoke ends the credential with the program. It is no loss if that fails: it ends with its lease.
func revoke(client *api.Client, lease string) {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	if err := client.Sys().RevokeWithContext(ctx, lease); err != nil {
		log.Print("the lease was not revoked: ", err)
	}
}

// store replaces the file at once: a reader finds the old credential or the new one, never half of one.
func store(file string, credential map[string]any) error {
	text, err := json.MarshalIndent(credential, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the credential: %w", err)
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
