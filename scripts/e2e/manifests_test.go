package e2e

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// metadata is the metadata of a Kubernetes resource.
type metadata struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
}

// vaultAuth is the part of the operator's resource VaultAuth (secrets.hashicorp.com/v1beta1) that the
// documentation uses.
type vaultAuth struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       struct {
		Method     string `yaml:"method"`
		Mount      string `yaml:"mount"`
		Kubernetes struct {
			Role           string `yaml:"role"`
			ServiceAccount string `yaml:"serviceAccount"`
		} `yaml:"kubernetes"`
	} `yaml:"spec"`
}

// vaultDynamicSecret is the part of the operator's resource VaultDynamicSecret that the documentation uses. Its schema
// requires destination, mount and path.
type vaultDynamicSecret struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       struct {
		VaultAuthRef   string `yaml:"vaultAuthRef"`
		Mount          string `yaml:"mount"`
		Path           string `yaml:"path"`
		RenewalPercent int    `yaml:"renewalPercent"`
		Revoke         bool   `yaml:"revoke"`
		Destination    struct {
			Name           string `yaml:"name"`
			Create         bool   `yaml:"create"`
			Transformation struct {
				ExcludeRaw bool     `yaml:"excludeRaw"`
				Includes   []string `yaml:"includes"`
			} `yaml:"transformation"`
		} `yaml:"destination"`
		RolloutRestartTargets []struct {
			Kind string `yaml:"kind"`
			Name string `yaml:"name"`
		} `yaml:"rolloutRestartTargets"`
	} `yaml:"spec"`
}

// deployment is the part of a Deployment that the injector reads.
type deployment struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Template struct {
			Metadata struct {
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"metadata"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

// clientFile reads a file under docs/clients.
func clientFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", "clients", name))
	require.NoError(t, err)
	return text
}

// writeDocumentedRole creates the role of the documentation's examples, and returns the path of its credentials.
func writeDocumentedRole(t *testing.T, client *api.Client) (creds string) {
	t.Helper()
	mountPath := server.MountPath()
	fields := configFields(t, "trend")
	write(t, client, mountPath+"/config/dsm", fields)
	write(t, client, mountPath+"/roles/dsm-auditor", map[string]any{"config": "dsm", "role_name": "Auditor", "ttl": "1m"})
	creds = mountPath + "/creds/dsm-auditor"
	t.Cleanup(func() {
		require.NoError(t, client.Sys().RevokePrefix(creds))
		_, err := client.Logical().Delete(mountPath + "/roles/dsm-auditor")
		require.NoError(t, err)
		_, err = client.Logical().Delete(mountPath + "/config/dsm")
		require.NoError(t, err)
	})
	return creds
}

func TestManifests_SecretsOperator_FollowsItsSchemaAndReads(t *testing.T) {
	client, _ := reset(t)
	creds := writeDocumentedRole(t, client)
	decoder := yaml.NewDecoder(bytes.NewReader(clientFile(t, "kubernetes/vault-secrets-operator.yaml")))
	decoder.KnownFields(true)
	var auth vaultAuth
	require.NoError(t, decoder.Decode(&auth))
	var secret vaultDynamicSecret
	require.NoError(t, decoder.Decode(&secret))
	require.ErrorIs(t, decoder.Decode(&secret), io.EOF)

	for _, apiVersion := range []string{auth.APIVersion, secret.APIVersion} {
		require.Equal(t, "secrets.hashicorp.com/v1beta1", apiVersion)
	}
	require.Equal(t, "VaultAuth", auth.Kind)
	require.Equal(t, "kubernetes", auth.Spec.Method)
	require.NotEmpty(t, auth.Spec.Kubernetes.Role)
	require.Equal(t, "VaultDynamicSecret", secret.Kind)
	require.Equal(t, auth.Metadata.Name, secret.Spec.VaultAuthRef)
	require.LessOrEqual(t, secret.Spec.RenewalPercent, 90)
	require.NotEmpty(t, secret.Spec.Destination.Name)
	for _, target := range secret.Spec.RolloutRestartTargets {
		require.Contains(t, []string{"Deployment", "DaemonSet", "StatefulSet", "argo.Rollout"}, target.Kind)
	}

	path := secret.Spec.Mount + "/" + secret.Spec.Path
	require.Equal(t, creds, path)
	answer := read(t, client, path)
	for _, pattern := range secret.Spec.Destination.Transformation.Includes {
		included := regexp.MustCompile(pattern)
		require.True(t, slices.ContainsFunc(slices.Collect(maps.Keys(answer.Data)), included.MatchString), "no member matches %s", pattern)
	}
}

func TestManifests_AgentInjector_AgentRendersItsTemplate(t *testing.T) {
	client, _ := reset(t)
	enableAppRole(t, client)
	creds := writeDocumentedRole(t, client)
	annotations := injectorAnnotations(t)
	require.Equal(t, creds, annotations["agent-inject-secret-credential.json"])
	require.Equal(t, "true", annotations["agent-inject"])
	require.NotEmpty(t, annotations["role"])

	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(exampleFile(t, "agent"))))
	template := annotations["agent-inject-template-credential.json"]
	require.NoError(t, os.WriteFile(filepath.Join(dir, "credential.ctmpl"), []byte(template), 0o600))
	writeAppRole(t, dir, creds)
	agent := runVault(t, "agent", "agent.hcl", dir, creds)
	var credential map[string]any
	require.Eventually(t, func() bool {
		credential = readCredential(t, filepath.Join(dir, "credential.json"))
		return credential != nil
	}, time.Minute, pollInterval, "%s", agent.Output())
	requireAccepted(t, vendorfacts.Named("trend"), credential)
}

// injectorAnnotations reads the injector's annotations, by the part of their names after the slash.
func injectorAnnotations(t *testing.T) map[string]string {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(clientFile(t, "kubernetes/agent-injector.yaml")))
	annotations := map[string]string{}
	for {
		var found deployment
		err := decoder.Decode(&found)
		if errors.Is(err, io.EOF) {
			return annotations
		}
		require.NoError(t, err)
		for name, value := range found.Spec.Template.Metadata.Annotations {
			short, ours := strings.CutPrefix(name, "vault.hashicorp.com/")
			require.True(t, ours, name)
			annotations[short] = value
		}
	}
}

var (
	// endpoint matches a vault_generic_endpoint with its path and the data that it writes.
	endpoint = regexp.MustCompile(`(?s)(resource|ephemeral) "vault_generic_endpoint" "\w+" \{\n[^}]*?  path +=  ?"\$\{vault_mount\.vendorauth\.path\}/([^"]+)".*?jsonencode\((?:merge\()?\{\n(.*?)\n  \}([^\n]*)\)`)
	// argument matches a line of that data, and optional a field that is added to it under a condition.
	argument = regexp.MustCompile(`(?m)^    (\w+) +=`)
	optional = regexp.MustCompile(`\{ (\w+) = var\.\w+ \}`)
	// member matches a member of a credential that a configuration uses.
	member = regexp.MustCompile(`vault_generic_secret\.dsm\.data\["(\w+)"\]`)
	// terraformBlock matches a block at the top of a configuration: its kind, its labels and its text.
	terraformBlock = regexp.MustCompile(`(?ms)^(\w+) ("[^{]*")?\s*\{\n(.*?)^\}`)
)

func TestManifests_Terraform_WritesKnownFields(t *testing.T) {
	client, mountPath := reset(t)
	found := endpoint.FindAllStringSubmatch(string(clientFile(t, "terraform/set-up/main.tf")), -1)
	require.Len(t, found, 2)
	for _, resource := range found {
		path := resource[2]
		fields := pathFields(t, client, mountPath, strings.Split(path, "/")[0])
		written := argument.FindAllStringSubmatch(resource[3], -1)
		require.NotEmpty(t, written)
		for _, name := range slices.Concat(written, optional.FindAllStringSubmatch(resource[4], -1)) {
			require.Contains(t, fields, name[1], path)
		}
	}
	require.Contains(t, found[0][4], "api_key", "the root credential is part of the config")
}

func TestManifests_Terraform_KeepsSecretsOutOfState(t *testing.T) {
	for _, name := range []string{"terraform/set-up/main.tf", "terraform/use/main.tf"} {
		blocks := terraformBlock.FindAllStringSubmatch(string(clientFile(t, name)), -1)
		require.NotEmpty(t, blocks, name)
		for _, block := range blocks {
			kind, labels, text := block[1], block[2], block[3]
			switch kind {
			case "variable":
				require.Equal(t, strings.Contains(text, "sensitive "), strings.Contains(text, "ephemeral "), "%s: %s", name, labels)
			case "ephemeral", "provider", "terraform":
			case "resource":
				require.NotContains(t, text, "api_key", "%s: %s", name, labels)
				require.NotContains(t, text, "generic_secret", "%s: %s", name, labels)
			default:
				t.Fatalf("%s: a block %s %s can store a secret in the state", name, kind, labels)
			}
		}
	}
}

func TestManifests_Terraform_ReadsKnownMembers(t *testing.T) {
	client, _ := reset(t)
	creds := writeDocumentedRole(t, client)
	answer := read(t, client, creds)
	for _, name := range []string{"terraform/use/main.tf", "terraform/data-source/main.tf"} {
		text := string(clientFile(t, name))
		require.Contains(t, text, `path = "`+creds+`"`)
		used := member.FindAllStringSubmatch(text, -1)
		require.NotEmpty(t, used, name)
		for _, found := range used {
			require.Contains(t, answer.Data, found[1], name)
		}
	}
}

// pathFields returns the fields of a mount's config/<name> or roles/<name>, from Vault's OpenAPI document.
func pathFields(t *testing.T, client *api.Client, mountPath, noun string) map[string]any {
	t.Helper()
	answer, err := client.Logical().ReadWithDataWithContext(t.Context(), mountPath+"/"+noun+"/x", map[string][]string{"help": {"1"}})
	require.NoError(t, err)
	paths := answer.Data["openapi"].(map[string]any)["paths"].(map[string]any)
	for path, described := range paths {
		if !strings.HasSuffix(path, noun+"/{name}") {
			continue
		}
		document := answer.Data["openapi"].(map[string]any)
		reference := described.(map[string]any)["post"].(map[string]any)["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)["$ref"].(string)
		schema := document["components"].(map[string]any)["schemas"].(map[string]any)[filepath.Base(reference)].(map[string]any)
		return schema["properties"].(map[string]any)
	}
	t.Fatalf("the OpenAPI document has no path %s/{name}: %v", noun, slices.Collect(maps.Keys(paths)))
	return nil
}
