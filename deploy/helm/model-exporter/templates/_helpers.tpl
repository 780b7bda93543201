{{- /* The chart's name in labels. */ -}}
{{- define "model-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of all objects. A StatefulSet's has 52 characters at most, for the names of its pods are longer; that of a
Service begins with a letter, so a release called 1 comes last. */ -}}
{{- define "model-exporter.fullname" -}}
{{- $name := include "model-exporter.name" . -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $full = .Release.Name -}}
{{- else if regexMatch "^[0-9]" .Release.Name -}}
{{- $full = printf "%s-%s" $name .Release.Name -}}
{{- end -}}
{{- $full | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "model-exporter.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- /* A map as lines of YAML whose values are text whatever they look like: y, 1, null. */ -}}
{{- define "model-exporter.texts" -}}
{{- $lines := list -}}
{{- range $key, $value := . -}}
{{- $lines = append $lines (printf "%s: %s" (quote $key) (toString $value | quote)) -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}

{{- define "model-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "model-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- /* Labels of an object: (list $ further...). Ours that are selected by cannot be changed. */ -}}
{{- define "model-exporter.labels" -}}
{{- $root := first . -}}
{{- $labels := dict "app.kubernetes.io/part-of" "model-exporter" -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- range prepend (rest .) $root.Values.commonLabels -}}
{{- $labels = mergeOverwrite $labels (. | default dict) -}}
{{- end -}}
{{- $labels = mergeOverwrite $labels (include "model-exporter.selectorLabels" $root | fromYaml) -}}
{{- include "model-exporter.texts" $labels -}}
{{- end -}}

{{- define "model-exporter.image" -}}
{{- $image := .Values.image -}}
{{- $registry := .Values.global.imageRegistry | default $image.registry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "model-exporter.pullSecrets" -}}
{{- range concat (.Values.global.imagePullSecrets | default list) (.Values.image.pullSecrets | default list) }}
- name: {{ (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name")) | quote }}
{{- end -}}
{{- end -}}

{{- /* The config, where it is ours to see; else nothing. */ -}}
{{- define "model-exporter.config" -}}
{{- if not .Values.configExistingSecretName }}{{ toYaml .Values.config }}{{ end -}}
{{- end -}}

{{- /* "true" where entries of a section of the config, (list $ "discovery"), ask the API server of this cluster. */ -}}
{{- define "model-exporter.asks" -}}
{{- $config := include "model-exporter.config" (first .) | fromYaml -}}
{{- range get $config (last .) | default list -}}
{{- if and (hasKey . "kubernetes") (not (hasKey (.kubernetes | default dict) "kubeconfig")) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{- /* "true" where the role needs the rules of discovery. */ -}}
{{- define "model-exporter.discovers" -}}
{{- if kindIs "bool" .Values.rbac.discovery -}}
{{- .Values.rbac.discovery | ternary "true" "" -}}
{{- else if include "model-exporter.asks" (list . "discovery") }}true{{ end -}}
{{- end -}}

{{- /* "true" where the role needs the rules of training logs. */ -}}
{{- define "model-exporter.follows" -}}
{{- if kindIs "bool" .Values.rbac.trainingLogs -}}
{{- .Values.rbac.trainingLogs | ternary "true" "" -}}
{{- else if include "model-exporter.asks" (list . "training") }}true{{ end -}}
{{- end -}}

{{- /* "true" where the exporter asks the API server. */ -}}
{{- define "model-exporter.asksKubernetes" -}}
{{- if or (include "model-exporter.discovers" .) (include "model-exporter.follows" .) .Values.rbac.extraRules }}true{{ end -}}
{{- end -}}

{{- define "model-exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if include "model-exporter.createsServiceAccount" . -}}
{{- include "model-exporter.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "model-exporter.createsServiceAccount" -}}
{{- $account := .Values.serviceAccount -}}
{{- if and $account.create (or $account.name $account.annotations (include "model-exporter.asksKubernetes" .)) }}true{{ end -}}
{{- end -}}

{{- /* The name of the Service. An address cannot be taken from a Service that has one, so that of shards is another. */ -}}
{{- define "model-exporter.serviceName" -}}
{{- include "model-exporter.fullname" . }}{{ if eq .Values.kind "StatefulSet" }}-shards{{ end -}}
{{- end -}}

{{- /* Where it is reached: without an address of its own a Service leads to the ports of pods. */ -}}
{{- define "model-exporter.host" -}}
{{- $port := eq .Values.kind "StatefulSet" | ternary .Values.containerPort .Values.service.port -}}
{{- printf "%s.%s.svc:%v" (include "model-exporter.serviceName" .) (include "model-exporter.namespace" .) $port -}}
{{- end -}}

{{- /* Roles stand beside those of releases of the same name in other namespaces. */ -}}
{{- define "model-exporter.roleName" -}}
{{- printf "%s:%s" (include "model-exporter.namespace" .) (include "model-exporter.fullname" .) -}}
{{- end -}}

{{- /* The head of an object of the Prometheus operator: (list $ values suffix). */ -}}
{{- define "model-exporter.monitored" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
name: {{ printf "%s%s" (include "model-exporter.fullname" $root) (index . 2) | quote }}
namespace: {{ $values.namespace | default (include "model-exporter.namespace" $root) | quote }}
labels:
  {{- include "model-exporter.labels" (list $root $values.additionalLabels) | nindent 2 }}
{{- end -}}

{{- /* How a ServiceMonitor and a PodMonitor scrape. */ -}}
{{- define "model-exporter.endpoint" -}}
port: http
path: {{ .path | quote }}
scheme: {{ .scheme }}
honorLabels: {{ .honorLabels }}
{{- range $key := list "interval" "scrapeTimeout" }}
{{- with get $ $key }}
{{ $key }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- range $key := list "tlsConfig" "basicAuth" "relabelings" "metricRelabelings" }}
{{- with get $ $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Labels of the test's pod: no Service and no monitor selects it. */ -}}
{{- define "model-exporter.testLabels" -}}
app.kubernetes.io/name: {{ printf "%s-test" (include "model-exporter.name" .) | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}
