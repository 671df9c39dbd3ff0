{{- define "longanim.labels" -}}
app.kubernetes.io/name: longanim
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
