{{/*
The names that this chart's templates share. Those that need a component take a list:
(list $ "broker"), (list $ "agent"), (list $ "ui").
*/}}

{{/* The chart's name, or what nameOverride says. */}}
{{- define "weir.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{/*
What all names begin with: the release's name, with the chart's name behind it unless it is in it.
45 characters leave room for "-broker-headless" in the 63 of a label, and for the hash that a
StatefulSet adds to "-broker".
*/}}
{{- define "weir.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects: weir-broker. */}}
{{- define "weir.componentName" -}}
{{- printf "%s-%s" (include "weir.fullname" (index . 0)) (index . 1) -}}
{{- end -}}

{{- define "weir.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The namespace of broker and dashboard. */}}
{{- define "weir.namespace" -}}
{{- .Release.Namespace -}}
{{- end -}}

{{/* The namespace of the agents. */}}
{{- define "weir.agent.namespace" -}}
{{- default .Release.Namespace .Values.agent.namespace.name -}}
{{- end -}}

{{/* The Pod Security level that the agents' mounts need: hostPath is more than "baseline" allows. */}}
{{- define "weir.agent.podSecurityLevel" -}}
{{- eq .Values.agent.access "minimal" | ternary "restricted" "privileged" -}}
{{- end -}}

{{/* What selects a component's pods; immutable once installed. */}}
{{- define "weir.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "weir.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of pods: without the chart's version, which alone is no reason to restart one. */}}
{{- define "weir.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "weir.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/managed-by: {{ $root.Release.Service | quote }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "weir.labels" -}}
{{ include "weir.podLabels" . }}
helm.sh/chart: {{ include "weir.chart" (index . 0) }}
{{- end -}}

{{/*
name, namespace, labels and annotations of an object; toYaml quotes a name such as "4711", which
would be a number:
(dict "root" $ "component" "broker" "name" "…" "namespace" "…" "labels" (dict) "annotations" (dict))
Without a name it is the component's; without a namespace the object belongs to the whole cluster.
*/}}
{{- define "weir.metadata" -}}
{{- $of := list .root .component -}}
name: {{ default (include "weir.componentName" $of) .name | toYaml }}
{{- with .namespace }}
namespace: {{ toYaml . }}
{{- end }}
labels:
  {{- $labels := include "weir.labels" $of | fromYaml }}
  {{- toYaml (merge (deepCopy (default dict .labels)) $labels) | nindent 2 }}
{{- with merge (deepCopy (default dict .annotations)) (default dict .root.Values.commonAnnotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The image of a component, or of another section that has an image: (list $ .Values.broker.image). */}}
{{- define "weir.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ coalesce $image.tag $root.Values.image.tag $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The name of a component's service account. */}}
{{- define "weir.serviceAccountName" -}}
{{- $account := (index (index . 0).Values (index . 1)).serviceAccount -}}
{{- $account.create | ternary (include "weir.componentName" .) "default" | default $account.name -}}
{{- end -}}

{{/* An address to listen at: (list "::" 5000) is [::]:5000. */}}
{{- define "weir.listen" -}}
{{- $host := index . 0 -}}
{{- contains ":" $host | ternary (printf "[%s]" $host) $host }}:{{ int (index . 1) }}
{{- end -}}

{{/* The host by which everything in the cluster finds the broker. */}}
{{- define "weir.brokerHost" -}}
{{- include "weir.componentName" (list . "broker") }}.{{ include "weir.namespace" . }}.svc
{{- end -}}

{{/* The broker that a component talks to: (list $ "agent"). */}}
{{- define "weir.brokerUrl" -}}
{{- $root := index . 0 -}}
{{- with (index $root.Values (index . 1)).brokerUrl -}}
{{- . -}}
{{- else -}}
http://{{ include "weir.brokerHost" $root }}:{{ int $root.Values.broker.ports.http }}
{{- end -}}
{{- end -}}

{{/* What all pods have alike, of a component: (list $ "broker"). */}}
{{- define "weir.podSettings" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "weir.serviceAccountName" . | toYaml }}
automountServiceAccountToken: false
# Service links would add variables such as WEIR_BROKER_PORT, which are not settings.
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with get $values $field }}
{{ $field }}:{{ kindIs "string" . | ternary " " "\n  " }}{{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Spreads several pods over the nodes as far as possible, unless the values say how. */}}
{{- define "weir.topologySpread" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- if $values.topologySpreadConstraints -}}
topologySpreadConstraints:
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else if gt (int $values.replicas) 1 -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "weir.selectorLabels" . | nindent 8 }}
{{- end }}
{{- end -}}

{{/* What all containers have alike: (list $ "broker" "http"), with the port that the probes ask. */}}
{{- define "weir.containerSettings" -}}
{{- $root := index . 0 -}}
{{- $port := index . 2 -}}
{{- $values := index $root.Values (index . 1) -}}
image: {{ include "weir.image" (list $root $values.image) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $probe, $path := dict "startupProbe" "/startup" "livenessProbe" "/health" "readinessProbe" "/ready" }}
{{ $probe }}:
  httpGet:
    path: {{ $path }}
    port: {{ $port }}
  {{- with get $values $probe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
Before SIGTERM the process says that it is not ready, and waits until nobody is sent to it any more.
The command in the pod does not see the flags of the process, so it is told the listener.
*/}}
{{- define "weir.preStop" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- with int $values.drainSeconds -}}
lifecycle:
  preStop:
    exec:
      command:
        - /weir-{{ index $ 1 }}
        - --http={{ include "weir.listen" (list $values.listen $values.ports.http) }}
        - --drain={{ . }}s
{{- end }}
{{- end -}}

{{/* Time for the drain, for the process to end by itself, and for the node to notice. */}}
{{- define "weir.terminationGracePeriod" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- add (int $values.drainSeconds) (int $values.gracePeriodSeconds) 5 -}}
{{- end -}}

{{/*
Settings as TOML. JSON is how TOML writes strings, whole numbers and booleans, too; a list or an
object is a setting that is read as JSON, so it becomes a string.
*/}}
{{- define "weir.toml" -}}
{{- range $key, $value := . }}
{{ $key }} = {{ or (kindIs "slice" $value) (kindIs "map" $value) | ternary (toRawJson $value) $value | toRawJson }}
{{- end }}
{{- end -}}

{{/* A component's file of settings; pods carry its checksum, so that a change restarts them. */}}
{{- define "weir.settingsFile" -}}
{{- $settings := default dict (index (index . 0).Values (index . 1)).settings -}}
# What is not here is in the flags of the container, or has its default.
{{- include "weir.toml" (eq (index . 1) "agent" | ternary (omit $settings "labels") $settings) }}
{{- end -}}

{{/* The fields of a Service but for its ports and its selector: (list $ "broker"). */}}
{{- define "weir.serviceSettings" -}}
{{- $service := (index (index . 0).Values (index . 1)).service -}}
type: {{ $service.type }}
{{- with $service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- if eq $service.type "LoadBalancer" }}
{{- with $service.loadBalancerClass }}
loadBalancerClass: {{ toYaml . }}
{{- end }}
{{- with $service.loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if ne $service.type "ClusterIP" }}
externalTrafficPolicy: {{ $service.externalTrafficPolicy }}
{{- end }}
{{- end -}}

{{/* A port of a Service: (list $ "broker" "http"). */}}
{{- define "weir.servicePort" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- $name := index . 2 -}}
- name: {{ $name }}
  port: {{ int (get $values.ports $name) }}
  targetPort: {{ $name }}
  protocol: TCP
  appProtocol: {{ eq $name "grpc" | ternary "kubernetes.io/h2c" "http" }}
  {{- if and (ne $values.service.type "ClusterIP") (get $values.service.nodePorts $name) }}
  nodePort: {{ int (get $values.service.nodePorts $name) }}
  {{- end }}
{{- end -}}

{{/* A namespace with a Pod Security level: (list $ "weir" "restricted" (dict "further" "labels")). */}}
{{- define "weir.namespaceObject" -}}
{{- $labels := dict -}}
{{- range $mode := list "enforce" "audit" "warn" -}}
{{- $_ := set $labels (printf "pod-security.kubernetes.io/%s" $mode) (index $ 2) -}}
{{- end -}}
{{- $keep := dict "helm.sh/resource-policy" "keep" -}}
apiVersion: v1
kind: Namespace
metadata:
  {{- include "weir.metadata" (dict "root" (index . 0) "component" "namespace" "name" (index . 1) "labels" (merge (deepCopy (default dict (index . 3))) $labels) "annotations" $keep) | nindent 2 }}
{{- end -}}

{{/* How pods are replaced; rollingUpdate would be refused beside any other type. */}}
{{- define "weir.updateStrategy" -}}
{{- toYaml (eq .type "RollingUpdate" | ternary . (omit . "rollingUpdate")) -}}
{{- end -}}

{{/* Labels and annotations of a component's pods: (list $ "broker"). */}}
{{- define "weir.podMetadata" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- $checksum := dict "checksum/config" (include "weir.settingsFile" . | sha256sum) -}}
labels:
  {{- $labels := include "weir.podLabels" . | fromYaml }}
  {{- toYaml (merge $labels (default dict $values.podLabels)) | nindent 2 }}
annotations:
  {{- toYaml (merge $checksum (default dict $values.podAnnotations)) | nindent 2 }}
{{- end -}}
